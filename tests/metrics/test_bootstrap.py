"""Bootstrap intervals: cases a pencil can check, invariants, and coverage of a truth that is known."""

from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from millis import metrics
from millis.errors import MillisError
from millis.metrics import bootstrap
from millis.metrics.accuracy import Accuracy
from millis.metrics.contract import plain

ACCURACY = Accuracy()
PAIRS = st.lists(st.tuples(st.integers(0, 3), st.integers(0, 3)), min_size=1, max_size=40)
ROUNDS = st.lists(st.lists(st.floats(0.01, 100), min_size=1, max_size=8), min_size=1, max_size=6)


@settings(deadline=None, max_examples=40)
@given(PAIRS)
def test_an_accuracy_lies_within_its_interval_and_that_within_0_and_100(pairs: list[tuple[int, int]]) -> None:
    predictions, references = np.array(pairs).T
    low, high = bootstrap.interval(ACCURACY, predictions, references, resamples=200)
    assert 0 <= low <= plain(ACCURACY, predictions, references) + 1e-9
    assert plain(ACCURACY, predictions, references) - 1e-9 <= high <= 100


@settings(deadline=None, max_examples=40)
@given(PAIRS)
def test_a_higher_level_gives_a_wider_interval(pairs: list[tuple[int, int]]) -> None:
    predictions, references = np.array(pairs).T
    narrow = bootstrap.interval(ACCURACY, predictions, references, resamples=100, level=0.5)
    wide = bootstrap.interval(ACCURACY, predictions, references, resamples=100, level=0.9)
    assert wide[0] <= narrow[0] <= narrow[1] <= wide[1]


def test_the_interval_of_an_accuracy_is_as_wide_as_the_binomial_says() -> None:
    # 400 items, 80 % right: standard error 100·sqrt(0.8·0.2/400) = 2 points, so ±1.96·2 = 3.92 about 80.
    references = np.zeros(400, dtype=int)
    predictions = (np.arange(400) < 80).astype(int)
    low, high = bootstrap.interval(ACCURACY, predictions, references, resamples=4000)
    assert low == pytest.approx(80 - 3.92, abs=0.4)
    assert high == pytest.approx(80 + 3.92, abs=0.4)


def test_the_interval_covers_the_true_accuracy_about_as_often_as_it_says() -> None:
    # 200 splits of 200 items from a model that is right with probability 0.8. The share that covers 80 has a standard
    # error of sqrt(0.95·0.05/200) = 0.015; the percentile interval is known to fall a little short of 0.95.
    rng = np.random.default_rng(7)
    references = np.zeros(200, dtype=int)
    covered = 0
    for split in range(200):
        predictions = (rng.random(200) > 0.8).astype(int)
        low, high = bootstrap.interval(ACCURACY, predictions, references, resamples=200, seed=split)
        covered += low <= 80 <= high
    assert 0.90 <= covered / 200 <= 0.98


def test_the_seed_decides_the_interval() -> None:
    predictions, references = [0, 1, 1, 0, 1, 1, 0], [0, 1, 0, 0, 1, 0, 1]
    macro_f1 = metrics.named("macro_f1", ["no", "yes"])
    first = bootstrap.interval(macro_f1, predictions, references, seed=1)
    assert bootstrap.interval(macro_f1, predictions, references, seed=1) == first
    assert bootstrap.interval(macro_f1, predictions, references, seed=2) != first


def test_resamples_without_an_out_of_scope_item_are_left_out() -> None:
    # One out-of-scope item in three, and it is recognised: recall is 100 on the resamples that drew it, nan elsewhere.
    recall = metrics.named("out_of_scope_recall", ["yes", "oos"])
    assert bootstrap.interval(recall, [0, 0, 1], [0, 0, 1]) == (100.0, 100.0)


def test_a_number_undefined_on_every_resample_says_so() -> None:
    recall = metrics.named("out_of_scope_recall", ["yes", "oos"])
    with pytest.raises(MillisError, match=r"undefined on all 50 resamples; expected items it is taken over. Evaluate"):
        bootstrap.interval(recall, [0, 0], [0, 0], resamples=50)


def test_two_models_that_answer_alike_differ_by_nothing() -> None:
    answers = [0, 1, 1, 0, 1]
    assert bootstrap.paired_difference_interval(ACCURACY, answers, answers, [0, 1, 0, 1, 1]) == (0.0, 0.0)


def test_a_paired_difference_is_as_wide_as_the_items_that_differ() -> None:
    # 400 items, both right on 340, neither on 20, the candidate alone wrong on 40: the difference a text is -1 with
    # probability 0.1, so the mean is -10 points and its standard error 100·sqrt(0.1·0.9/400) = 1.5.
    references = np.zeros(400, dtype=int)
    baseline = (np.arange(400) < 20).astype(int)
    candidate = (np.arange(400) < 60).astype(int)
    low, high = bootstrap.paired_difference_interval(ACCURACY, candidate, baseline, references, resamples=4000)
    assert low == pytest.approx(-10 - 1.96 * 1.5, abs=0.3)
    assert high == pytest.approx(-10 + 1.96 * 1.5, abs=0.3)
    # Taken alone, the candidate's 85 % is uncertain by 100·sqrt(0.85·0.15/400) = 1.79, the baseline's 95 % by 1.09.
    alone = bootstrap.interval(ACCURACY, candidate, references, resamples=4000)
    assert high - low < alone[1] - alone[0]


@settings(deadline=None, max_examples=40)
@given(PAIRS)
def test_exchanging_the_models_turns_the_difference_round(pairs: list[tuple[int, int]]) -> None:
    one, other = np.array(pairs).T
    references = np.zeros(len(pairs), dtype=int)
    low, high = bootstrap.paired_difference_interval(ACCURACY, one, other, references, resamples=100)
    turned = bootstrap.paired_difference_interval(ACCURACY, other, one, references, resamples=100)
    np.testing.assert_allclose(turned, (-high, -low), atol=1e-9)


def test_blocks_hold_the_resamples_one_after_the_other(monkeypatch: pytest.MonkeyPatch) -> None:
    drawn = iter([[0, 0], [0, 1], [1, 1]])
    monkeypatch.setattr(bootstrap, "BLOCK", 4)  # two resamples of two items
    blocks = list(bootstrap.drawn(lambda: np.array(next(drawn)), items=2, resamples=3))
    assert [block.tolist() for block in blocks] == [[[2, 0], [1, 1]], [[0, 2]]]


@dataclass(frozen=True)
class ErrorRate(Accuracy):
    """100 - accuracy: lower is better."""

    better: ClassVar = "lower"

    def value(self, sums: np.ndarray) -> np.ndarray:
        return 100 - super().value(sums)


def test_a_difference_is_positive_where_the_candidate_is_better_whichever_way_the_metric_runs() -> None:
    one, other, references = [0, 0, 0, 1, 0], [0, 1, 1, 1, 0], [0] * 5
    difference = bootstrap.paired_difference_interval(ACCURACY, one, other, references)
    assert difference[1] > 0
    found = bootstrap.paired_difference_interval(ErrorRate(), one, other, references)
    np.testing.assert_allclose(found, difference, atol=1e-9)


def test_paired_lists_of_unequal_length_are_refused() -> None:
    with pytest.raises(MillisError, match="got 1 predictions for 2 references"):
        bootstrap.paired_difference_interval(ACCURACY, [0, 1], [0], [0, 1])
