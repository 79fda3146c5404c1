"""What every metric keeps, found by walking the package: sums of parts, resamples, and how records carry it."""

import json
from dataclasses import asdict

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from millis import metrics
from millis.errors import MillisError
from millis.metrics import contract
from millis.metrics.accuracy import Accuracy
from millis.metrics.contract import Foreign, plain, weighted
from millis.metrics.macro_f1 import MacroF1
from millis.units import SIGN

LABELS = ["book", "cancel", "oos", "pay"]
PAIRS = st.lists(st.tuples(st.integers(0, 3), st.integers(0, 3)), min_size=1, max_size=40)
EVERY = pytest.mark.parametrize("name", metrics.shipped())


def split(pairs: list[tuple[int, int]]) -> np.ndarray:
    """[N] pairs as answers and references, [2, N]."""
    return np.array(pairs, dtype=np.int64).reshape(-1, 2).T


@EVERY
@given(pairs=PAIRS, at=st.integers(0, 40))
def test_statistics_of_two_halves_add_up_to_those_of_the_whole(name, pairs, at):
    metric = metrics.named(name, LABELS)
    whole, first, second = (metric.statistics(*split(part)) for part in (pairs, pairs[:at], pairs[at:]))
    assert whole.shape == (len(pairs), first.shape[1])
    np.testing.assert_array_equal(whole.sum(axis=0), first.sum(axis=0) + second.sum(axis=0))
    np.testing.assert_array_equal(metric.value(whole.sum(axis=0)), plain(metric, *split(pairs)))


@EVERY
@given(data=st.data(), pairs=PAIRS)
def test_a_count_is_an_item_that_many_times(name, data, pairs):
    metric = metrics.named(name, LABELS)
    answers, references = split(pairs)
    counts = data.draw(st.lists(st.integers(0, 3), min_size=len(pairs), max_size=len(pairs)).filter(any))
    repeated = plain(metric, np.repeat(answers, counts), np.repeat(references, counts))
    both = weighted(metric, answers, references, np.array([counts, np.ones(len(pairs))], dtype=float))
    np.testing.assert_allclose(both, [repeated, plain(metric, answers, references)], rtol=1e-12)


@EVERY
@given(answers=st.lists(st.integers(0, 3), min_size=4, max_size=4))
def test_no_answers_are_better_than_the_right_ones(name, answers):
    metric, references = metrics.named(name, LABELS), np.arange(4)
    best, other = (plain(metric, np.array(one), references) for one in (references, answers))
    assert SIGN[metric.better] * (best - other) >= -1e-9


@EVERY
def test_items_of_many_parts_are_those_of_one(name, monkeypatch):
    rng = np.random.default_rng(0)
    answers, references = rng.integers(4, size=(2, 60))
    counts = rng.integers(3, size=(5, 60)).astype(float)
    metric = metrics.named(name, LABELS)
    whole = weighted(metric, answers, references, counts)
    monkeypatch.setattr(contract, "PART", 7)
    np.testing.assert_array_equal(weighted(metric, answers, references, counts), whole)


@EVERY
def test_a_metric_is_made_of_json(name):
    metric = metrics.named(name, LABELS)
    assert metrics.kind(name)(**json.loads(json.dumps(asdict(metric)))) == metric
    assert metric.better in SIGN


def test_macro_f1_by_hand():
    # Class 0: answered and true, right once: (1, 2). Class 1: answered once, never true: (0, 1). Class 2 is not there.
    statistics = MacroF1(3).statistics(np.array([0, 1]), np.array([0, 0]))
    assert statistics.tolist() == [[1, 0, 0, 2, 0, 0], [0, 0, 0, 1, 1, 0]]
    assert MacroF1(3).value(statistics.sum(axis=0)) == pytest.approx(100 * (2 * 1 / 3 + 0) / 2)


@pytest.mark.parametrize("name", ["macro_f1", "macro_accuracy", "matthews"])
def test_answers_beyond_the_classes_are_refused(name):
    with pytest.raises(MillisError, match=r"got label indices 0..3; expected 0..2, for the metric is over 3 classes"):
        plain(metrics.kind(name)(3), np.array([0, 3]), np.array([0, 3]))


@pytest.mark.parametrize(("labels", "got"), [([], "0"), (range(2**16 + 1), "65,537")])
def test_a_number_of_classes_without_columns_is_refused(labels, got):
    with pytest.raises(MillisError) as caught:
        MacroF1.of(labels)
    assert str(caught.value) == (
        f"got {got} labels; this metric takes each class for itself and needs 1 to 65,536. "
        "Choose another metric such as 'accuracy'"
    )


def test_a_metric_without_statistics_is_computed_for_every_resample():
    # Drawn as often as `counts` say: (0, 0, 1), then (1, 1): sums 1 and 2, of 3 and 2 items.
    asked = []

    def compute(answers, references):
        asked.append(answers.tolist())
        return float(answers.sum() / len(references))

    metric = Foreign(compute)
    counts = np.array([[2.0, 1.0], [0.0, 2.0]])
    assert weighted(metric, np.array([0, 1]), np.array([0, 0]), counts).tolist() == [1 / 3, 1.0]
    assert asked == [[0, 0, 1], [1, 1]]
    assert plain(metric, np.array([0, 1]), np.array([0, 0])) == 0.5
    assert (metric.better, metric.unit) == ("higher", "")


def test_accuracy_knows_nothing_of_labels():
    assert Accuracy.of(LABELS) == Accuracy.of([]) == Accuracy()
