"""The one sentence of a frontier, on numbers that are set by hand."""

from dataclasses import replace

import pytest

from millis.frontier import Frontier, Standing
from millis.record import Judged, Record
from millis.report.headline import headline


def record(name, kind, validation, test, ms):
    metrics = {"accuracy": test, "validation_accuracy": validation, "latency_p50_ms": ms, "speedup": 1.0}
    return Record(
        id=name, name=name, kind=kind, metrics=metrics, intervals={}, quality="accuracy", config={}, seed=0,
        artifact="", predictions=[0], references=[0], latency_ms=[[ms]], reference_latency_ms=[[ms]], stages_ms={},
        parity={}, environment={},
    )  # fmt: skip


TEACHER, INT8 = record("teacher", "teacher", 94.0, 92.0, 12.0), record("teacher int8", "baseline", 94.0, 92.0, 1.2)
SLOW, QUICK = record("slow", "student", 93.9, 90.0, 0.6), record("quick", "student", 93.0, 91.5, 0.4)
TINY = record("tiny", "student", 92.9, 92.0, 0.1)
RECORDS = [TEACHER, INT8, SLOW, QUICK, TINY]


def frontier(records, off=(), unbeaten=()):
    standings = [
        Standing(one.id, one.name, one.id not in off, 1.0, (), "linear" if one.id in unbeaten else "")
        for one in records
    ]
    return Frontier({"accuracy": "maximize", "latency_p50_ms": "minimize"}, tuple(standings), 8, 3.0)


def test_the_fastest_that_validation_puts_within_a_point():
    assert headline(RECORDS, frontier(RECORDS)) == (
        "The fastest within 1 point of the teacher on validation is quick: test accuracy 91.5 (0.5 below the teacher), "
        "p50 0.400 ms, 30.0× the speed of teacher, 3.00× the speed of teacher int8."
    )


def test_what_is_not_on_the_frontier_or_beats_no_baseline_is_passed_over():
    for found in (frontier(RECORDS, off=["quick"]), frontier(RECORDS, unbeaten=["quick"])):
        assert "is slow: test accuracy 90.0 (2.0 below the teacher), p50 0.600 ms, 20.0×" in headline(RECORDS, found)


def test_where_none_is_within_a_point_the_nearest_is_named():
    records = [TEACHER, INT8, TINY]
    assert headline(records, frontier(records)) == (
        "No student is within 1 point of the teacher on validation; the nearest is tiny, 1.1 below the teacher: test "
        "accuracy 92.0 (level with the teacher), p50 0.100 ms, 120× the speed of teacher, 12.0× the speed of teacher "
        "int8."
    )


@pytest.mark.parametrize(
    "records",
    [
        [TEACHER, INT8],
        [replace(one, judged={"accuracy": Judged("lower", "nats")}) for one in RECORDS],
        [TEACHER, replace(QUICK, metrics={"accuracy": 91.5, "latency_p50_ms": 0.4})],
    ],
    ids=["no student", "no points", "no validation"],
)
def test_where_there_is_nothing_to_say(records):
    assert headline(records, frontier(records)) is None
