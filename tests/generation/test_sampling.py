"""Sampling against the filters of transformers, and against what it is drawn from."""

import numpy as np
import pytest
import torch
from decoders import HashedDecoder
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import chisquare
from transformers import LogitsProcessorList, TemperatureLogitsWarper, TopKLogitsWarper, TopPLogitsWarper

from millis.errors import MillisError
from millis.generation.greedy import Greedy
from millis.generation.sampling import Sampling, drawn
from millis.generation.writing import Vocabulary

NO_END = Vocabulary((), str)


def by_transformers(logits, temperature, top_k, top_p):
    """Probabilities [V] after its filters, in its order."""
    filters = LogitsProcessorList([TemperatureLogitsWarper(temperature)])
    if top_k is not None:
        filters.append(TopKLogitsWarper(top_k))
    if top_p < 1:
        filters.append(TopPLogitsWarper(top_p))
    filtered = filters(torch.zeros(1, 1, dtype=torch.long), torch.tensor(logits, dtype=torch.float64)[None])
    return filtered.softmax(-1)[0].numpy()


def probabilities(choice, logits):
    found = np.zeros(len(logits))
    tokens, weights = choice.kept(logits)
    found[slice(None) if tokens is None else tokens] = weights
    return found / found.sum()


@given(
    st.integers(0, 2**32 - 1), st.integers(1, 300) | st.integers(2000, 9000), st.sampled_from([0.1, 1.0, 3.0, 10.0]),
    st.sampled_from([0.3, 0.7, 1.0, 1.5]), st.none() | st.integers(1, 400), st.sampled_from([0.05, 0.5, 0.9, 0.999, 1]),
)  # fmt: skip
def test_what_is_drawn_from_is_what_transformers_draws_from(seed, size, spread, temperature, top_k, top_p):
    logits = np.random.default_rng(seed).normal(scale=spread, size=size).astype(np.float32)
    choice = Sampling(temperature=temperature, top_k=top_k, top_p=top_p)
    np.testing.assert_allclose(
        probabilities(choice, logits), by_transformers(logits, temperature, top_k, top_p), atol=1e-6
    )


def test_a_nucleus_of_many_tokens_is_that_of_transformers():
    logits = np.random.default_rng(0).normal(scale=0.3, size=20_000).astype(np.float32)
    found = probabilities(Sampling(top_p=0.8), logits)
    assert (found > 0).sum() > 10_000
    # Which side of the boundary a token of no more than 2e-4 is on follows from the rounding of a sum.
    np.testing.assert_allclose(found, by_transformers(logits, 1.0, None, 0.8), atol=2e-4)


@pytest.mark.parametrize(
    ("top_k", "top_p", "kept"),
    [
        (None, 1.0, [0.5, 0.25, 0.125, 0.125]),
        (1, 1.0, [1, 0, 0, 0]),
        (2, 1.0, [2 / 3, 1 / 3, 0, 0]),
        (3, 1.0, [0.5, 0.25, 0.125, 0.125]),  # the fourth is as likely as the third
        (None, 0.49, [1, 0, 0, 0]),  # the first has it alone
        (None, 0.51, [2 / 3, 1 / 3, 0, 0]),
        (None, 0.8, [4 / 7, 2 / 7, 1 / 7, 0]),  # of equals the smaller id
        (2, 0.6, [1, 0, 0, 0]),  # of the two that are left the first has 2 / 3
        (None, 1e-9, [1, 0, 0, 0]),
    ],
)
def test_filters_by_hand(top_k, top_p, kept):
    logits = np.log(np.array([8, 4, 2, 2], np.float32))  # p = 1/2, 1/4, 1/8, 1/8
    np.testing.assert_allclose(probabilities(Sampling(top_k=top_k, top_p=top_p), logits), kept, rtol=1e-6)


def test_tokens_as_likely_as_each_other_are_kept_by_their_ids():
    logits = np.zeros(5000, np.float32)  # more than are sorted at first
    assert np.array_equal(Sampling(top_p=0.001).kept(logits)[0], np.arange(5))
    assert np.array_equal(Sampling(top_p=0.5).kept(logits)[0], np.arange(2500))
    assert len(Sampling(top_k=3).kept(logits)[0]) == 5000


@given(st.integers(0, 2**32 - 1), st.integers(1, 3000), st.floats(0, 1, exclude_max=True))
def test_the_position_that_is_drawn_is_that_of_the_running_sum(seed, size, share):
    weights = np.random.default_rng(seed).integers(0, 3, size).astype(np.float32)
    weights[seed % size] = 1  # one is there
    sums = weights.cumsum()
    at = drawn(weights, share)
    assert weights[at] > 0
    assert sums[at] - weights[at] - 1e-6 <= share * sums[-1] <= sums[at] + 1e-6


def test_the_coldest_temperature_is_greedy():
    logits = np.random.default_rng(0).normal(scale=1e3, size=4000).astype(np.float32)
    logits[7] = np.finfo(np.float32).min
    found = probabilities(Sampling(temperature=1e-6), logits)
    assert found[logits.argmax()] == found.max() == 1


def test_a_temperature_of_a_half_squares_probabilities():
    logits = np.log(np.array([3, 1], np.float32))
    np.testing.assert_allclose(probabilities(Sampling(temperature=0.5), logits), [0.9, 0.1], rtol=1e-6)


def test_tokens_are_drawn_as_often_as_they_are_likely():
    logits = np.log(np.array([8, 0.001, 4, 2, 2], np.float32))
    choose = Sampling(top_k=4, seed=3).chooser()
    counts = np.bincount([choose(logits) for _ in range(4000)], minlength=5)
    assert counts[1] == 0
    assert chisquare(counts[[0, 2, 3, 4]], 4000 * np.array([8, 4, 2, 2]) / 16).pvalue > 0.01


def test_what_has_no_probability_is_never_drawn():
    class Last:  # the largest number that is drawn
        def random(self):
            return 1 - 2**-53

    logits = np.array([0, 0.1, 0.2, -np.inf, -900], np.float32)
    choice = Sampling()
    assert probabilities(choice, logits)[3:].tolist() == [0, 0]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(np.random, "default_rng", lambda seed: Last())
        assert choice.chooser()(logits) == 2


def written(choice, seed=0):
    return choice.begin(HashedDecoder(seed=seed), [1, 2], NO_END).finish().tokens.tolist()


def test_a_seed_has_one_text_whatever_was_written_before():
    choice = Sampling(max_tokens=30, seed=5)
    assert written(choice) == written(choice) == written(Sampling(max_tokens=30, seed=5))
    assert written(choice) != written(Sampling(max_tokens=30, seed=6))


def test_one_token_is_greedy():
    assert written(Sampling(max_tokens=30, top_k=1)) == written(Greedy(max_tokens=30))
    assert written(Sampling(max_tokens=30, top_p=1e-9)) == written(Greedy(max_tokens=30))


def test_end_tokens_are_not_drawn_too_early():
    ends = Vocabulary(tuple(range(19)), str)
    found = Sampling(max_tokens=8, min_tokens=8).begin(HashedDecoder(), [1], ends).finish()
    assert (found.tokens.tolist(), found.ended) == ([19] * 8, "length")


@pytest.mark.parametrize(
    ("row", "shown"), [([1, np.nan, 2], "nan"), ([-np.inf, -np.inf, -np.inf], "-inf"), ([1, np.inf, 2], "inf")]
)
def test_logits_that_are_no_numbers_are_refused(row, shown):
    with pytest.raises(MillisError) as caught:
        Sampling().chooser()(np.array(row, np.float32))
    assert str(caught.value) == (
        f"the largest of 3 logits is {shown}: expected a finite number. The model diverged in training, or its weights "
        "overflow in this precision"
    )


@pytest.mark.parametrize(
    ("values", "message"),
    [
        (
            {"temperature": 0.0},
            "generation.temperature=0.0: expected a number from 1e-06 on. For the most likely token choose "
            "generation=greedy",
        ),
        (
            {"temperature": float("nan")},
            "generation.temperature=nan: expected a number from 1e-06 on. For the most likely token choose "
            "generation=greedy",
        ),
        ({"top_k": 0}, "generation.top_k=0: expected 1 or more tokens, or null, which keeps all of them"),
        (
            {"top_p": 0.0},
            "generation.top_p=0.0: expected a probability above 0 and at most 1, which keeps all tokens",
        ),
        (
            {"top_p": 1.1},
            "generation.top_p=1.1: expected a probability above 0 and at most 1, which keeps all tokens",
        ),
        ({"seed": -1}, "generation.seed=-1: expected 0 or more"),
        (
            {"max_tokens": 0},
            "generation.max_tokens=0: expected 1 or more, for the first token is always chosen",
        ),
    ],
)
def test_what_cannot_be_is_refused(values, message):
    with pytest.raises(MillisError) as caught:
        Sampling(**values)
    assert str(caught.value) == message
