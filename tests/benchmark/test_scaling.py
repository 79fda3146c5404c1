import os
from dataclasses import replace

import pytest

from millis.benchmark import scaling
from millis.benchmark.scaling import Point, inter_op_grid, scale, stream_grid, thread_grid, tune
from millis.errors import MillisError
from millis.storage.manifest import Manifest, open_manifest, seal

MANIFEST = Manifest("tiny", "onnxruntime", {}, ("a", "b"), ("input_ids",), 8)


def point(axis, threads, streams, p50, p99, rate):
    return Point(axis, threads, streams, 1, None, p50, p99, rate)


POINTS = [
    point("threads", 1, 1, 4.0, 6.0, 250.0),
    point("threads", 2, 1, 3.0, 5.0, 333.0),
    point("streams", 1, 1, 4.0, 6.0, 250.0),
    point("streams", 2, 1, 3.0, 5.0, 333.0),
    point("streams", 1, 2, 4.2, 7.0, 480.0),
]
AT_ONCE = Point("inter_op", 2, 1, 1, None, 2.5, 4.0, 400.0, inter_op=2)


def test_the_setting_for_a_goal():
    assert tune(POINTS, "latency", None).threads == 2
    assert (best := tune(POINTS, "throughput", 8.0)).streams == 2 and best.threads == 1
    assert tune(POINTS, "throughput", 6.5).threads == 2  # two streams would break the bound


def test_operators_at_once_are_a_setting_like_others():
    assert tune([*POINTS, AT_ONCE], "latency", None) is AT_ONCE
    assert tune([*POINTS, AT_ONCE], "throughput", 6.5) is AT_ONCE
    assert tune([*POINTS, AT_ONCE], "throughput", 8.0).streams == 2


@pytest.mark.parametrize(("threads", "at_once"), [(1, []), (2, [2]), (6, [2]), (8, [2, 4, 8])])
def test_operators_at_once_divide_the_threads(threads, at_once):
    written = Manifest("tiny", "onnxruntime", {}, ("a", "b"), ("input_ids",), 8, options={"inter_op": 1})
    assert inter_op_grid(threads, written) == at_once
    assert inter_op_grid(threads, MANIFEST) == []  # its runtime has no such option


@pytest.mark.parametrize(
    ("goal", "bound", "message"),
    [
        (
            "latencies",
            None,
            r"goal='latencies' is unknown: expected one of latency, throughput; did you mean 'latency'",
        ),
        ("throughput", None, r"goal=throughput needs the latency it may cost: add bound_ms=..."),
        ("throughput", 2.0, r"bound_ms=2 is kept by no setting: the lowest p99 is 5 ms"),
    ],
)
def test_a_goal_that_cannot_be_is_refused(goal, bound, message):
    with pytest.raises(MillisError, match=message):
        tune(POINTS, goal, bound)


@pytest.mark.parametrize(("cpus", "threads"), [(1, [1]), (2, [1, 2]), (6, [1, 2, 4, 6]), (8, [1, 2, 4, 8])])
def test_threads_double_up_to_all_cpus(cpus, threads):
    assert thread_grid(cpus, MANIFEST) == threads


def test_code_for_a_number_of_threads_is_timed_on_that():
    compiled = Manifest("tiny", "inductor", {}, ("a", "b"), ("input_ids",), 8, options={"threads": 2})
    assert thread_grid(8, compiled) == [2]


@pytest.mark.parametrize(("threads", "streams"), [(1, [1, 2, 4, 6]), (2, [1, 2, 3]), (4, [1]), (8, [1])])
def test_streams_have_cpus_of_their_own(threads, streams):
    assert stream_grid(6, threads) == streams


def test_every_curve_is_drawn_from_real_processes(artifact, monkeypatch):
    monkeypatch.setattr(scaling, "BATCHES", (1, 4))
    monkeypatch.setattr(scaling, "LENGTHS", (4, 8, 16))
    monkeypatch.setattr(scaling, "available_cpus", lambda: sorted(os.sched_getaffinity(0))[-1:])
    points = scale(artifact("tiny"), ["a a", "a"], seconds=0.05)
    found = [(one.axis, one.threads, one.streams, one.batch, one.length) for one in points]
    assert found == [
        ("threads", 1, 1, 1, None),
        ("streams", 1, 1, 1, None),
        ("batch", 1, 1, 1, 8),  # 16 is longer than the artifact takes
        ("batch", 1, 1, 4, 8),
        ("length", 1, 1, 1, 4),
        ("length", 1, 1, 1, 8),
    ]
    assert all(0 < one.p50_ms <= one.p99_ms and one.per_second > 0 for one in points)


@pytest.mark.skipif(len(os.sched_getaffinity(0)) < 2, reason="operators at once take a second CPU")
def test_operators_at_once_are_timed_where_the_runtime_can(artifact, monkeypatch):
    monkeypatch.setattr(scaling, "BATCHES", ())
    monkeypatch.setattr(scaling, "LENGTHS", (4,))
    monkeypatch.setattr(scaling, "available_cpus", lambda: sorted(os.sched_getaffinity(0))[:2])
    folder = artifact("tiny")
    seal(folder, replace(open_manifest(folder), options={"inter_op": 1}))
    points = [point for point in scale(folder, ["a a", "a"], seconds=0.05) if point.axis in ("threads", "inter_op")]
    assert [(one.axis, one.threads, one.inter_op) for one in points] == [
        ("threads", 1, 1),
        ("threads", 2, 1),
        ("inter_op", 2, 2),
    ]
