import numpy as np
import pytest

from millis.benchmark.statistics import (
    Agreement,
    agreement,
    drift,
    milliseconds,
    summarise,
    throttled_share,
    waiting_share,
)

MS = 1_000_000


def test_stages_are_the_differences_of_the_readings():
    # One round, one request: 1 ms to tokenize, 2 to feed, 3 to compute, 4 to decode.
    readings = [[[10 * MS, 11 * MS, 13 * MS, 16 * MS, 20 * MS, 0, 0]]]
    assert milliseconds(readings).tolist() == [[[1, 2, 3, 4]]]


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
    metrics, intervals = summarise(stages, reference)
    assert metrics["latency_p50_ms"] == 7.0  # of 4 5 6 8 9 10
    assert metrics["model_p50_ms"] == 6.0
    assert metrics["compute_p50_ms"] == 4.0  # of 1 2 3 5 6 7
    assert metrics["tokenize_p50_ms"] == metrics["feed_p50_ms"] == metrics["decode_p50_ms"] == 1.0
    assert metrics["latency_p90_ms"] == pytest.approx(9.5)  # position 4.5 of 0..5
    assert metrics["speedup"] == 3.5  # of 20 / 5 and 27 / 9
    assert intervals["speedup"] == (3.0, 4.0)
    assert set(intervals) == set(metrics)
    assert all(low <= metrics[name] <= high for name, (low, high) in intervals.items())


def test_a_machine_that_slows_down_does_not_move_the_speedup():
    stages = np.full((4, 5, 4), 0.25)
    reference = np.full((4, 5), 3.0)
    slow = np.array([1.0, 2.0, 1.0, 2.0])
    metrics, intervals = summarise(stages * slow[:, None, None], reference * slow[:, None])
    assert metrics["speedup"] == 3.0
    assert intervals["speedup"] == (3.0, 3.0)
    assert intervals["latency_p50_ms"][1] == 2.0  # the milliseconds do move


def test_drift_by_hand():
    assert drift(np.array([[9.0, 10.0, 11.0], [12.0, 12.0, 12.0], [8.0, 8.0, 99.0]])) == pytest.approx(0.4)


def test_agreement_by_hand():
    first = {"a": {"speedup": 2.0, "latency_p50_ms": 10.0}, "only first": {"speedup": 1.0, "latency_p50_ms": 1.0}}
    second = {"a": {"speedup": 2.1, "latency_p50_ms": 8.0}}
    (row,) = agreement(first, second)
    assert row == Agreement("a", 2.0, 2.1, pytest.approx(5.0), 10.0, 8.0, pytest.approx(-20.0))
