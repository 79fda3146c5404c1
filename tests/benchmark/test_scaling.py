import os

import pytest
from filelock import FileLock, Timeout
from signatures import answering
from specs import static

from millis.benchmark import scaling
from millis.benchmark.scaling import Point, scale, stream_grid, thread_grid, tune
from millis.errors import MillisError
from millis.storage.manifest import Manifest
from millis.temporaries import private_folder

MANIFEST = Manifest("tiny", "onnxruntime", static(), answering("a", "b"), ("input_ids",), 8)


def point(axis, threads, streams, p50, p99, rate):
    return Point(axis, threads, streams, 1, None, p50, p99, rate)


POINTS = [
    point("threads", 1, 1, 4.0, 6.0, 250.0),
    point("threads", 2, 1, 3.0, 5.0, 333.0),
    point("streams", 1, 1, 4.0, 6.0, 250.0),
    point("streams", 2, 1, 3.0, 5.0, 333.0),
    point("streams", 1, 2, 4.2, 7.0, 480.0),
]


def test_the_setting_for_a_goal():
    assert tune(POINTS, "latency", None).threads == 2
    assert (best := tune(POINTS, "throughput", 8.0)).streams == 2 and best.threads == 1
    assert tune(POINTS, "throughput", 6.5).threads == 2  # two streams would break the bound


@pytest.mark.parametrize(
    ("goal", "bound", "message"),
    [
        (
            "latencies",
            None,
            r"goal='latencies' is unknown: expected one of latency, throughput \(did you mean 'latency'",
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
    compiled = Manifest("tiny", "inductor", static(), answering("a", "b"), ("input_ids",), 8, options={"threads": 2})
    assert thread_grid(8, compiled) == [2]


@pytest.mark.parametrize(("threads", "streams"), [(1, [1, 2, 4, 6]), (2, [1, 2, 3]), (4, [1]), (8, [1])])
def test_streams_have_cpus_of_their_own(threads, streams):
    assert stream_grid(6, threads) == streams


def test_no_other_measurement_runs_meanwhile(monkeypatch, tmp_path):
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))

    def timed(*_):
        with pytest.raises(Timeout):
            FileLock(private_folder() / ".benchmark.lock", timeout=0).acquire()
        return ["timed"]

    monkeypatch.setattr(scaling, "_scale", timed)
    assert scale(tmp_path, [], 0.0) == ["timed"]


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


def test_what_writes_is_given_as_many_tokens_as_are_asked_for(artifact, monkeypatch):
    asked = []

    class Spy(scaling.Worker):
        def __init__(self, *arguments):
            asked.append(arguments[-1])
            super().__init__(*arguments)

    monkeypatch.setattr(scaling, "Worker", Spy)
    monkeypatch.setattr(scaling, "BATCHES", (1,))
    monkeypatch.setattr(scaling, "LENGTHS", (4,))
    monkeypatch.setattr(scaling, "available_cpus", lambda: sorted(os.sched_getaffinity(0))[-1:])
    scale(artifact("tiny"), ["a"], 0.01, 60, 7)
    assert asked == [7, 7]
