"""What every metric keeps, found by walking the package: sums of parts, resamples, and how records carry it."""

import json
from dataclasses import asdict

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from millis import metrics, schema
from millis.errors import MillisError
from millis.metrics import contract
from millis.metrics.accuracy import Accuracy
from millis.metrics.contract import Foreign, items, plain, weighted
from millis.metrics.macro_f1 import MacroF1
from millis.units import SIGN

LABELS = ["book", "cancel", "oos", "pay"]
TAGS = ["O", "B-city", "I-city", "B-day"]
WORDS = 3  # of each text
INDEX = st.integers(0, 3)
OF_WORDS = st.tuples(*[INDEX] * WORDS)  # and of candidates
SET = st.sets(INDEX).map(lambda found: tuple(sorted(found)))
NUMBER = st.integers(-8, 8).map(float)
SPOKEN = st.lists(st.sampled_from(["the", "cat", "sat", "on", "mats", "3.5", "grün.", "猫坐着"]), max_size=8).map(
    " ".join
)
ITEM = {
    "label": INDEX, "labels": SET, "number": NUMBER, "tags": OF_WORDS, "label and tags": st.tuples(INDEX, OF_WORDS),
    "scores": OF_WORDS, "likelihood": st.tuples(st.integers(0, 80).map(float), st.integers(1, 9), st.integers(1, 40)),
    "written": SPOKEN,
}  # fmt: skip
RIGHT = {
    "label": [0, 1, 2, 3], "labels": [(0, 2), (), (1,), (1, 2, 3)], "number": [0.0, 1.0, -2.0, 4.0],
    "tags": [(0, 0, 0), (1, 2, 0), (3, 1, 2), (0, 3, 0)], "scores": [(0, 1, 0), (3, 2, 0), (1, 1, 2), (0, 0, 0)],
    "likelihood": [(0.0, 3, 9), (0.0, 1, 4), (0.0, 8, 30), (0.0, 2, 5)],
    "written": ["the cat sat on the mat", "", "it rains cats and dogs", "a dog"],
}  # fmt: skip
RIGHT["label and tags"] = list(zip(RIGHT["label"], RIGHT["tags"], strict=True))
PAIRS = [(name, kind) for name in metrics.shipped() for kind in metrics.kind(name).judges]
EVERY = pytest.mark.parametrize(("name", "kind"), PAIRS)


def made(name, kind):
    return metrics.named(name, LABELS if kind in ("label", "labels") else TAGS, kind)


def drawn(data, kind):
    """Answers and references, [N] each."""
    pairs = data.draw(st.lists(st.tuples(ITEM[kind], ITEM[kind]), min_size=1, max_size=40))
    return [items(values) for values in zip(*pairs, strict=True)]


@pytest.mark.parametrize(
    ("name", "kind"), [(name, kind) for name, kind in PAIRS if name not in ("pearson", "spearman")]
)
@given(data=st.data(), at=st.integers(0, 40))
def test_statistics_of_two_halves_add_up_to_those_of_the_whole(name, kind, data, at):
    metric = made(name, kind)
    both = answers, references = drawn(data, kind)
    halves = [(answers[part], references[part]) for part in (slice(at), slice(at, None))]
    whole, first, second = (metric.statistics(*some) for some in (both, *halves))
    assert whole.shape == (len(answers), first.shape[1])
    np.testing.assert_allclose(whole.sum(axis=0), first.sum(axis=0) + second.sum(axis=0), rtol=1e-12)
    np.testing.assert_allclose(metric.value(whole.sum(axis=0)), plain(metric, *both), rtol=1e-12)


@EVERY
@given(data=st.data())
def test_a_count_is_an_item_that_many_times(name, kind, data):
    metric = made(name, kind)
    answers, references = drawn(data, kind)
    counts = data.draw(st.lists(st.integers(0, 3), min_size=len(answers), max_size=len(answers)).filter(any))
    repeated = plain(metric, np.repeat(answers, counts), np.repeat(references, counts))
    both = weighted(metric, answers, references, np.array([counts, np.ones(len(answers))], dtype=float))
    np.testing.assert_allclose(both, [repeated, plain(metric, answers, references)], rtol=1e-12, atol=1e-9)


@EVERY
@given(data=st.data())
def test_no_answers_are_better_than_the_right_ones(name, kind, data):
    metric, right = made(name, kind), items(RIGHT[kind])
    answers = items(data.draw(st.lists(ITEM[kind], min_size=4, max_size=4)))
    best, other = (plain(metric, one, right) for one in (right, answers))
    assume(not np.isnan(other))  # a correlation with a constant
    assert SIGN[metric.better] * (best - other) >= -1e-9


@EVERY
def test_items_of_many_parts_are_those_of_one(name, kind, monkeypatch):
    rng = np.random.default_rng(0)
    labels, counts = rng.integers(4, size=(2, 60)), rng.integers(3, size=(5, 60)).astype(float)
    tags = rng.integers(4, size=(2, 60, WORDS)).tolist()
    both = [list(zip(*parts, strict=True)) for parts in zip(labels.tolist(), tags, strict=True)]
    sets = [[tuple(sorted(set(row))) for row in rows] for rows in tags]
    texts = [[" ".join("abcd"[index] for index in row) for row in rows] for rows in tags]
    drawn = {
        "label": labels,
        "labels": sets,
        "number": labels.astype(float),
        "tags": tags,
        "label and tags": both,
        "scores": tags,
        "likelihood": [[(float(nats), 2, 9) for nats in row] for row in labels],
        "written": texts,
    }
    answers, references = map(items, drawn[kind])
    metric = made(name, kind)
    whole = weighted(metric, answers, references, counts)
    monkeypatch.setattr(contract, "PART", 7)
    np.testing.assert_allclose(weighted(metric, answers, references, counts), whole, rtol=1e-12)


@EVERY
def test_a_metric_is_made_of_json(name, kind):
    metric = made(name, kind)
    assert schema.checked(json.loads(json.dumps(asdict(metric))), metrics.kind(name)) == metric
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


def test_items_are_of_one_kind():
    assert items([0, 2]).dtype.kind == "i" and items([0.5]).dtype.kind == "f" and not len(items([]))
    assert items(["a", ("b", "c")]).tolist() == ["a", ("b", "c")] and items([[1, [2]], []]).tolist() == [(1, (2,)), ()]
    for mixed in ([0, [1]], ["a", 1], [1.0, "a"]):
        with pytest.raises(
            MillisError, match=r"got answers of two kinds, such as .* and .*: expected one for all items"
        ):
            items(mixed)


def test_accuracy_knows_nothing_of_labels():
    assert Accuracy.of(LABELS) == Accuracy.of([]) == Accuracy()
