"""Metrics of tags, and of a label with tags."""

import pytest

from millis import metrics
from millis.errors import MillisError
from millis.metrics.contract import items, matched, plain
from millis.record import Record

TAGS = ("O", "B-city", "I-city")
TAGGED = [(0, 1, 2), (1, 0), (0,)], [(0, 1, 2), (1, 2), (0,)]
BOTH = [(4, (0, 1, 2)), (3, (1, 0)), (2, (0,))], [(4, (0, 1, 2)), (3, (1, 2)), (1, (0,))]


@pytest.mark.parametrize(
    ("name", "kind", "pair", "value"),
    [
        ("token_accuracy", "tags", TAGGED, 500 / 6),  # 5 of 6 words
        ("exact_match", "tags", TAGGED, 200 / 3),  # two texts of three
        ("span_f1", "tags", TAGGED, 50),  # one of two spans, and one of two is right
        ("exact_match", "label and tags", BOTH, 100 / 3),
        ("intent_accuracy", "label and tags", BOTH, 200 / 3),
        ("slot_f1", "label and tags", BOTH, 50),
    ],
)
def test_by_hand(name, kind, pair, value):
    metric = metrics.named(name, TAGS, kind)
    assert plain(metric, *map(items, pair)) == pytest.approx(value)
    assert metrics.value(name, metric, *pair) == pytest.approx(value)
    assert (metric.better, metric.unit) == ("higher", "%")
    assert metric.statistics(items([]), items([])).shape[0] == 0


def test_lists_as_records_hold_them_are_read_alike():
    as_read = [[[4, [0, 1, 2]], [3, [1, 0]]], [[4, [0, 1, 2]], [3, [1, 2]]]]
    metric = metrics.named("exact_match", TAGS, "label and tags")
    assert metrics.value("exact_match", metric, *as_read) == 50


@pytest.mark.parametrize(
    ("name", "kind", "message"),
    [
        ("accuracy", "tags", "task.metric=accuracy judges label, and this task answers tags a text. Choose one of"),
        ("span_f1", "label", "task.metric=span_f1 judges tags, and this task answers label a text. Choose one of acc"),
        ("span_f2", "tags", "is unknown to tasks that answer tags a text: expected one of .*span_f1.*did you mean"),
    ],
)
def test_metrics_of_other_answers_are_refused(name, kind, message):
    with pytest.raises(MillisError, match=message):
        metrics.named(name, TAGS, kind)


@pytest.mark.parametrize("references", [[(0,)], [0, 1]])
def test_answers_must_be_of_the_references_kind_and_number(references):
    with pytest.raises(MillisError, match=r"got 2 answers for . references, such as .* expected as many of one"):
        matched([(0,), (1,)], references)


def test_a_record_that_was_read_is_compared_with_one_that_was_not():
    settings = metrics.judged({"slot_f1": metrics.named("slot_f1", TAGS, "label and tags")})
    answers, references = BOTH
    fresh = Record(
        id="a", name="a", kind="student", metrics={}, intervals={}, quality="slot_f1", config={}, seed=0, artifact="",
        predictions=answers, references=references, latency_ms=[], reference_latency_ms=[], stages_ms={}, parity={},
        environment={}, judged=settings,
    )  # fmt: skip
    read = Record.from_json(fresh.to_json())
    assert read == fresh and metrics.metric_of([fresh, read]).tags == TAGS
