import numpy as np
import pytest

from millis.benchmark.statistics import (
    Summary,
    agreement,
    differ,
    drift,
    end_to_end,
    merged,
    milliseconds,
    summarise,
    throttled_share,
    told_apart,
    waiting_share,
    writing,
)

MS = 1_000_000
FOUR = ("tokenize", "feed", "compute", "decode")


def test_stages_are_the_differences_of_the_readings():
    # One round, one request: 1 ms to tokenize, 2 to feed, 3 to compute, 4 to decode.
    readings = [[[10 * MS, 11 * MS, 13 * MS, 16 * MS, 20 * MS, 0, 0]]]
    assert milliseconds(readings).tolist() == [[[1, 2, 3, 4]]]


def test_a_runner_may_have_any_number_of_stages():
    readings = [[[10 * MS, 15 * MS, 16 * MS, 2 * MS, 3 * MS]]]  # 5 and 1 ms; 2 waited for others, 3 for the quota
    assert milliseconds(readings).tolist() == [[[3, 1]]]
    assert (waiting_share(readings), throttled_share(readings)) == (2 / 6, 3 / 6)
    metrics, _ = summarise(("read", "write"), milliseconds(readings), np.full((1, 1), 8.0))
    assert {name: metrics[name] for name in ("read_p50_ms", "write_p50_ms", "model_p50_ms", "latency_p50_ms")} == {
        "read_p50_ms": 3.0, "write_p50_ms": 1.0, "model_p50_ms": 1.0, "latency_p50_ms": 4.0
    }  # fmt: skip


def test_a_wait_comes_off_the_longest_stage():
    readings = [[[0, 1 * MS, 2 * MS, 9 * MS, 10 * MS, 5 * MS, 0]]]  # 7 ms computing, 5 of them another process had
    assert milliseconds(readings).tolist() == [[[1, 1, 2, 1]]]
    assert waiting_share(readings) == 0.5


def test_what_a_quota_costs_stays_in_the_latency():
    # 7 ms computing: another process had 2 of them, the quota kept the request away for 4.
    readings = [[[0, 1 * MS, 2 * MS, 9 * MS, 10 * MS, 2 * MS, 4 * MS]]]
    assert milliseconds(readings).tolist() == [[[1, 1, 5, 1]]]
    assert waiting_share(readings) == 0.2
    assert throttled_share(readings) == 0.4


def test_a_wait_longer_than_the_request_was_outside_it():
    readings = [[[0, 1 * MS, 2 * MS, 4 * MS, 5 * MS, 3 * MS, 0]]]
    assert milliseconds(readings).tolist() == [[[1, 1, 2, 1]]]


def test_summary_by_hand():
    # Two rounds of three requests; stages (1, 1, x, 1): latencies x + 3.
    compute = np.array([[1.0, 2.0, 3.0], [5.0, 6.0, 7.0]])
    stages = np.ones((2, 3, 4))
    stages[:, :, 2] = compute
    reference = np.array([[20.0, 20.0, 20.0], [27.0, 27.0, 27.0]])
    metrics, intervals = summarise(FOUR, stages, reference)
    assert metrics["latency_p50_ms"] == 7.0  # of 4 5 6 8 9 10
    assert metrics["model_p50_ms"] == 6.0
    assert metrics["compute_p50_ms"] == 4.0  # of 1 2 3 5 6 7
    assert metrics["tokenize_p50_ms"] == metrics["feed_p50_ms"] == metrics["decode_p50_ms"] == 1.0
    assert metrics["latency_p90_ms"] == pytest.approx(9.5)  # position 4.5 of 0..5
    assert metrics["speedup"] == 3.5  # of 20 / 5 and 27 / 9
    assert intervals["speedup"] == (3.0, 4.0)
    assert set(intervals) == set(metrics)
    assert all(low <= metrics[name] <= high for name, (low, high) in intervals.items())


WRITER = ("tokenize", "feed", "first", "write", "decode")


def test_times_of_what_writes_by_hand():
    # Two rounds of two requests, five tokens each: 1 + 2 + 3 ms to the first, then 4, 8, 12, 16 ms for four more.
    stages = np.ones((2, 2, 5)) * [1.0, 2.0, 3.0, 0.0, 7.0]
    stages[:, :, 3] = [[4.0, 8.0], [12.0, 16.0]]
    metrics, intervals = writing(WRITER, stages, tokens=5)
    assert metrics == {
        "first_token_p50_ms": 6.0, "first_token_p99_ms": pytest.approx(6.0),
        "per_token_p50_ms": 2.5, "per_token_p99_ms": pytest.approx(3.97),  # of 1 2 3 4: 2.97 of three steps
    }  # fmt: skip
    assert set(intervals) == set(metrics) and intervals["first_token_p50_ms"] == (6.0, 6.0)
    low, high = intervals["per_token_p50_ms"]
    assert 1.0 <= low <= 2.5 <= high <= 4.0


def test_of_two_tokens_the_second_is_all_that_is_written():
    stages = np.ones((1, 1, 5)) * [1.0, 0.0, 0.0, 6.0, 0.0]
    assert writing(WRITER, stages, tokens=2).metrics["per_token_p50_ms"] == 6.0


def test_both_summaries_are_one():
    first, second = Summary({"a": 1.0}, {"a": (0.0, 2.0)}), Summary({"b": 3.0}, {})
    assert merged(first, second) == Summary({"a": 1.0, "b": 3.0}, {"a": (0.0, 2.0)})


def test_a_machine_that_slows_down_does_not_move_the_speedup():
    stages = np.full((4, 5, 4), 0.25)
    reference = np.full((4, 5), 3.0)
    slow = np.array([1.0, 2.0, 1.0, 2.0])
    metrics, intervals = summarise(FOUR, stages * slow[:, None, None], reference * slow[:, None])
    assert metrics["speedup"] == 3.0
    assert intervals["speedup"] == (3.0, 3.0)
    assert intervals["latency_p50_ms"][1] == 2.0  # the milliseconds do move


def test_drift_by_hand():
    assert drift(np.array([[9.0, 10.0, 11.0], [12.0, 12.0, 12.0], [8.0, 8.0, 99.0]])) == pytest.approx(0.4)


def one(speedup, low, high):
    return Summary({"speedup": speedup}, {"speedup": (low, high)})


def test_agreement_by_hand():
    first = {"a": one(2.0, 1.9, 2.1), "b": one(2.0, 1.9, 2.1), "c": one(2.0, 1.9, 2.1), "only first": one(1, 1, 1)}
    second = {"a": one(2.1, 2.0, 2.3), "b": one(2.2, 2.05, 2.4), "c": one(2.4, 2.3, 2.5)}
    rows = agreement(first, second, ["speedup"])
    assert [row[:4] for row in rows] == [(name, "speedup", 2.0, second[name].metrics["speedup"]) for name in "abc"]
    assert [row.difference_percent for row in rows] == pytest.approx([5.0, 10.0, 20.0])
    # b: log 1.1 = 0.095; the sides that face each other are log 2.1/2 = 0.049 and log 2.2/2.05 = 0.071, together 0.086.
    assert [(row.overlap, row.within) for row in rows] == [(True, True), (True, False), (False, False)]


def test_differences_that_are_measured():
    found = {"slow": one(1.0, 1.0, 1.0), "mid": one(2.0, 1.8, 2.2), "twin": one(2.1, 1.9, 2.3)}
    assert told_apart(found) == {("slow", "mid"), ("slow", "twin")}
    assert not differ(found["mid"], found["twin"], "speedup")
    assert differ(found["mid"], found["slow"], "speedup") and differ(found["slow"], found["mid"], "speedup")


def test_a_second_run_finds_what_the_first_calls_measured():
    # Two models, 5 % apart, in three processes each that differ by 6 %: a run seldom calls that measured, and then the
    # next finds it too. Intervals that know nothing of processes call it measured, either way round.
    rng = np.random.default_rng(0)
    served = np.arange(12) % 3

    def run(processes):
        found = {}
        for name, speed in (("slow", 1.0), ("fast", 1 / 1.05)):
            effect = 0.06 * rng.normal(size=3)[served]
            latency = speed * np.exp(effect[:, None] + 0.02 * rng.normal(size=(12, 5)))
            found[name] = end_to_end(latency, np.full((12, 5), 8.0), processes)
        return found

    def contradicted(processes, pairs=15):
        wrong = 0
        for _ in range(pairs):
            first, second = told_apart(run(processes)), run(processes)
            wrong += any(second[more].metrics["speedup"] < second[less].metrics["speedup"] for less, more in first)
        return wrong / pairs

    assert contradicted(served) <= 0.05
    assert contradicted([]) >= 0.1
