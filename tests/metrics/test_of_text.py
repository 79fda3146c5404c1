"""Metrics of how likely texts are, by hand."""

from math import exp, log

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from millis import metrics
from millis.errors import MillisError
from millis.metrics.bits_per_byte import BitsPerByte
from millis.metrics.bootstrap import interval
from millis.metrics.contract import items, plain
from millis.metrics.perplexity import Perplexity

LIKELIHOODS = st.lists(st.tuples(st.floats(0, 1e3), st.integers(1, 99), st.integers(1, 400)), min_size=1, max_size=20)
NONE = (0.0, 0, 0)


def of(metric, *answers):
    return float(plain(metric, items(answers), items([NONE] * len(answers))))


def test_by_hand():
    # Three tokens of 1/4 each and one of 1/2: 7 bits over 4 tokens, 14 bytes.
    answers = (3 * log(4), 3, 10), (log(2), 1, 4)
    assert of(Perplexity(), *answers) == pytest.approx(2 ** (7 / 4))
    assert of(BitsPerByte(), *answers) == pytest.approx(7 / 14)


def test_a_model_that_knows_nothing_is_as_perplexed_as_its_vocabulary_is_large():
    # A token a byte: 8 bits each.
    assert of(Perplexity(), (50 * log(256), 50, 50)) == pytest.approx(256)
    assert of(BitsPerByte(), (50 * log(256), 50, 50)) == pytest.approx(8)


@given(LIKELIHOODS)
def test_they_are_of_the_sums_not_means_over_texts(answers):
    nats, tokens, bytes_ = np.sum(answers, axis=0)
    assert of(Perplexity(), *answers) == pytest.approx(exp(min(nats / tokens, 700)))
    assert of(BitsPerByte(), *answers) == pytest.approx(nats / bytes_ / log(2))


def test_where_nothing_was_predicted_nothing_is_judged():
    for metric in (Perplexity(), BitsPerByte()):
        assert np.isnan(of(metric, NONE, NONE))
        assert of(metric, NONE, (log(2), 1, 1)) == of(metric, (log(2), 1, 1))
        with pytest.raises(MillisError, match="is undefined on these 1 references"):
            metrics.value("perplexity", metric, items([NONE]), items([NONE]))


def test_what_is_impossible_is_a_number_still():
    assert of(Perplexity(), (1e6, 1, 1)) == pytest.approx(exp(700))


def test_less_is_better_and_has_a_unit():
    assert [(metric.better, metric.unit) for metric in (Perplexity(), BitsPerByte())] == [
        ("lower", ""),
        ("lower", "bits"),
    ]


def test_several_draws_at_once_and_intervals_hold_the_value():
    sums = np.array([[log(2), 1, 2], [log(8), 1, 3]])
    assert Perplexity().value(sums).tolist() == pytest.approx([2, 8])
    assert BitsPerByte().value(sums).tolist() == pytest.approx([1 / 2, 1])
    rng = np.random.default_rng(0)
    answers = items([(float(nats), 10, 40) for nats in rng.uniform(10, 30, 100)])
    for metric in (Perplexity(), BitsPerByte()):
        low, high = interval(metric, answers, items([NONE] * 100), resamples=200)
        assert low < plain(metric, answers, items([NONE] * 100)) < high
