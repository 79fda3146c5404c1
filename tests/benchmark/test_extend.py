"""Runs pooled by hand, and as many of them as it takes."""

from dataclasses import replace

import numpy as np
import pytest

from millis.benchmark.extend import extended, pooled
from millis.benchmark.latency import Measurement
from millis.benchmark.notes import held_up_notes
from millis.benchmark.statistics import end_to_end


def measurement(rounds: list[list[float]], reference: float, **changes) -> Measurement:
    made = Measurement(
        metrics={"latency_p50_ms": -1.0, "speedup": -1.0, "compute_p50_ms": 1.0, "peak_memory_bytes": 10.0},
        intervals={"latency_p50_ms": (-1.0, -1.0), "compute_p50_ms": (0.9, 1.1)},
        latency_ms=rounds,
        reference_latency_ms=[[reference] * len(samples) for samples in rounds],
        stages_ms={"compute": 1.0},
        notes=["seen"],
        environment={"cpu": "one", "rounds": len(rounds)},
        processes=[i % 2 for i in range(len(rounds))],
    )
    return replace(made, **changes)


def test_two_runs_by_hand() -> None:
    first = measurement([[1.0, 1.0, 1.0], [2.0, 2.0, 2.0]], 8.0)
    again = measurement(
        [[2.0, 2.0], [4.0, 4.0]] * 2, 8.0, notes=["seen", "busy"], stages_ms={"compute": 4.0},
        metrics={**first.metrics, "compute_p50_ms": 4.0, "peak_memory_bytes": 7.0},
        intervals={**first.intervals, "compute_p50_ms": (3.0, 5.0)},
    )  # fmt: skip
    both = pooled(first, again)
    assert both.latency_ms == [[1, 1], [2, 2], [2, 2], [4, 4], [2, 2], [4, 4]]
    assert both.processes == [0, 1, 2, 3, 2, 3]
    assert both.metrics["latency_p50_ms"] == 2.0
    assert both.metrics["speedup"] == 4.0  # of 8 4 4 2 4 2
    assert (
        both.metrics["compute_p50_ms"] == both.stages_ms["compute"] == pytest.approx(3.0)
    )  # two rounds of 1, four of 4
    assert both.metrics["peak_memory_bytes"] == 10.0
    assert both.intervals["compute_p50_ms"] == (0.9, 5.0)
    assert both.intervals["latency_p50_ms"][0] < 2 < both.intervals["latency_p50_ms"][1]
    assert both.notes == ["seen", "busy"]
    assert both.environment["rounds"] == 6 and both.environment["processes"] == 4 and both.environment["cpu"] == "one"


def test_what_held_requests_up_is_said_once_of_both_runs() -> None:
    def run(waiting: float, throttled: float, other: str) -> Measurement:
        machine = {"machine": {"cpu_quota": 0.5}, "waiting_share": waiting, "throttled_share": throttled}
        notes = [other, *held_up_notes(waiting, throttled, 0.5)]
        return measurement([[1.0]] * 2, 8.0, environment=machine, notes=notes)

    both = pooled(pooled(run(0.2, 0.0, "first"), run(0.1, 0.3, "seen")), run(0.0, 0.1, "seen"))
    assert (both.environment["waiting_share"], both.environment["throttled_share"]) == (0.2, 0.3)
    first, seen, waiting, quota = both.notes
    assert (first, seen) == ("first", "seen")
    assert "held the CPU for 20% of the time" in waiting and "held requests back for 30% of it" in quota


def test_fresh_processes_narrow_what_more_rounds_of_the_same_cannot() -> None:
    # Two processes of e^-0.01 and e^0.01 ms: s = 0.0141, Student's half-width 12.71·0.0141/√2 = 0.127, however many
    # rounds they serve. Two more that take the same: s = 0.0115, 3.18·0.0115/√4 = 0.0184.
    run = measurement([[float(np.exp(-0.01))], [float(np.exp(0.01))]] * 10, 8.0)
    longer = end_to_end(np.array(run.latency_ms * 2), np.array(run.reference_latency_ms * 2), run.processes * 2)

    def half_width(intervals: dict[str, tuple[float, float]]) -> float:
        low, high = intervals["latency_p50_ms"]
        return float(np.log(high / low)) / 2

    assert half_width(longer.intervals) == pytest.approx(0.127, rel=0.25)
    assert half_width(pooled(run, run).intervals) == pytest.approx(0.0184, rel=0.15)


@pytest.mark.parametrize(("closed_at", "runs"), [(1, [0]), (2, [0, 1]), (3, [0, 1, 2]), (9, [0, 1, 2, 3])])
def test_runs_are_added_until_nothing_is_open_or_the_cap_is_reached(closed_at: int, runs: list[int]) -> None:
    made: list[int] = []

    def measure(run: int) -> dict[str, Measurement]:
        made.append(run)
        return {"a": measurement([[1.0], [2.0]], 8.0), "b": measurement([[3.0], [4.0]], 8.0)}

    found = extended(measure, lambda found: len(set(found["a"].processes)) < 2 * closed_at)
    assert made == runs
    assert {name: len(one.latency_ms) for name, one in found.items()} == {"a": 2 * len(runs), "b": 2 * len(runs)}
