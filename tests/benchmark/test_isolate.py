import os
import signal
import subprocess
import sys
import time
from queue import Empty
from threading import Timer

import pytest

from millis.benchmark.isolate import Worker
from millis.benchmark.worker import ALIVE
from millis.cpus import available_cpus
from millis.errors import MillisError


def start(folder, first="a", cpus=()):
    return Worker("tiny", folder, first, threads=1, cpus=cpus)


def gone(pid):
    """Whether the process has ended, waiting a moment for it."""
    for _ in range(100):
        try:
            os.kill(pid, 0)
        except ProcessLookupError:
            return True
        time.sleep(0.05)
    return False


def test_a_burst_has_seven_readings_a_request_in_order(artifact):
    with start(artifact("tiny")) as worker:
        worker.ask({"texts": ["a", ["a", "a a"], "a a a"]})
        readings = worker.ask({"burst": {"order": [0, 2, 1, 1], "settle_ms": 0}})
        assert [len(request) for request in readings] == [7] * 4
        for *clock, others, throttled in readings:
            assert clock == sorted(clock)
            assert others >= 0 and throttled >= 0
        assert worker.ask({"peak": None}) > 10_000_000  # an interpreter and onnxruntime take more than that
        assert worker.cold_start_ms > 0


def test_warm_up_says_whether_it_became_steady(artifact):
    with start(artifact("tiny")) as worker:
        worker.ask({"texts": ["a", "a a", "a a", "a a a"]})
        window = {"window": [0, 1], "seconds": 60.0}
        warm = worker.ask({"warm": {**window, "windows": 2, "tolerance": 1e9}})
        assert warm["steady"] is True
        assert warm["requests"] == 3 + 2 * 2  # three distinct lengths, then two windows of two
        warm = worker.ask({"warm": {"window": [0, 1], "seconds": 0.0, "windows": 2, "tolerance": 0.0}})
        assert warm["steady"] is False
        assert warm["requests"] == 3 + 2


def test_a_worker_is_pinned_and_told_its_threads(artifact):
    cpus = available_cpus()[-1:]
    with start(artifact("tiny"), cpus=cpus) as worker:
        pid = worker._process.pid
        if cpus:
            assert os.sched_getaffinity(pid) == set(cpus)


def test_closing_ends_the_process_and_may_be_repeated(artifact):
    worker = start(artifact("tiny"))
    worker.close()
    worker.close()
    assert worker._process.poll() == 0


def test_a_killed_worker_is_reported(artifact):
    with start(artifact("tiny")) as worker:
        os.kill(worker._process.pid, signal.SIGKILL)
        with pytest.raises(
            MillisError, match=r"(?s)process of tiny was killed by signal 9. Signal 9 is most often .*memory"
        ):
            worker.ask({"peak": None})


def freeze(worker, timeout_s=0.2):
    """Stop it, as a hung driver would, and have little patience with it from now on."""
    os.kill(worker._process.pid, signal.SIGSTOP)
    worker.timeout_s = timeout_s


@pytest.mark.parametrize(
    ("request_", "doing"),
    [
        ({"peak": None}, "was telling its memory"),
        ({"burst": {"order": [0], "settle_ms": 0}}, "was being timed"),
        ({"texts": ["a" * 1000] * 1000}, "was taking the texts"),  # more than a pipe holds: writing waits as well
    ],
)
def test_a_worker_that_hangs_is_ended_and_told(artifact, request_, doing):
    with start(artifact("tiny")) as worker:
        freeze(worker)
        with pytest.raises(
            MillisError,
            match=rf"process of tiny hung: for 0.2 s it said nothing while it {doing}, .*benchmark.timeout_s",
        ):
            worker.ask(request_)
    assert worker._process.returncode == -signal.SIGKILL


def test_a_worker_that_hangs_while_it_loads(artifact):
    with pytest.raises(MillisError, match=r"for 0.0\d+ s .* while it was loading and answering its first request"):
        Worker("tiny", artifact("tiny"), "a", threads=1, cpus=(), timeout_s=0.01)


def test_a_cascade_has_the_time_that_its_members_files_take(tmp_path, monkeypatch):
    expected = []

    def heard(self, request, expected_s):
        expected.append(expected_s)
        return {"waited_ns": 0, "stages": []}

    monkeypatch.setattr(Worker, "ask", heard)
    for name, size in {"manifest.json": 1000, "fast/model.onnx": 1_000_000, "accurate/model.onnx": 3_000_000}.items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_bytes(b"0" * size)
    start(tmp_path).close()
    assert expected == [4_001_000 / 200e6]


def test_who_is_expected_to_take_long_has_the_time(artifact):
    with start(artifact("tiny")) as worker:
        freeze(worker, timeout_s=0.1)
        worker.send({"peak": None})
        resume = Timer(0.5, os.kill, (worker._process.pid, signal.SIGCONT))
        resume.start()
        assert worker.receive(expected_s=60.0) > 0
        resume.join()


class Silent:
    """In place of a worker's lines: says nothing `silence` times, then each of `lines`."""

    def __init__(self, silence, lines=()):
        self.silence, self.lines, self.waited = silence, list(lines), []

    def get(self, timeout):
        self.waited.append(timeout)
        if len(self.waited) <= self.silence or not self.lines:
            raise Empty
        return self.lines.pop(0)

    def put(self, line):
        """What the process really says is not heard."""


def test_waiting_is_counted_in_ticks_since_nobody_answers_while_all_are_stopped(artifact):
    with start(artifact("tiny")) as worker:
        worker.timeout_s, worker._lines = 2.5, Silent(silence=9)
        with pytest.raises(MillisError, match=r"for 2.5 s it said nothing"):
            worker.ask({"peak": None})
        assert worker._lines.waited == [1.0, 1.0, 0.5], "however long each took by the clock"


def test_signs_of_life_are_no_answers_and_begin_the_wait_anew(artifact):
    with start(artifact("tiny")) as worker:
        worker.timeout_s, worker._lines = 2.0, Silent(silence=1, lines=[ALIVE, ALIVE, b'{"value": 7}'])
        assert worker.receive() == 7
        assert worker._lines.waited == [1.0] * 4


def test_closing_does_not_wait_for_what_is_under_way(artifact):
    worker = start(artifact("tiny"))
    worker.ask({"texts": ["a"]})
    worker.send({"stream": {"seconds": 600.0}})
    worker.close()
    assert worker._process.returncode == -signal.SIGKILL


def test_a_worker_that_fails_shows_its_last_words(artifact):
    with start(artifact("tiny")) as worker, pytest.raises(MillisError, match=r"(?s)ended with status 1. .*IndexError"):
        worker.ask({"burst": {"order": [5], "settle_ms": 0}})


def test_an_artifact_that_does_not_load_says_why(artifact):
    folder = artifact("tiny")
    (folder / "model.onnx").write_bytes(b"?")
    with pytest.raises(MillisError, match=r"cannot measure tiny: artifact .* is damaged: model.onnx does not match"):
        start(folder)


def test_a_worker_leaves_when_its_parent_is_killed(artifact):
    script = (
        "import sys, os, signal; from pathlib import Path; from millis.benchmark.isolate import Worker;"
        "worker = Worker('tiny', Path(sys.argv[1]), 'a', 1, ()); print(worker._process.pid, flush=True);"
        "os.kill(os.getpid(), signal.SIGKILL)"
    )
    command = [sys.executable, "-c", script, str(artifact("tiny"))]
    parent = subprocess.run(command, capture_output=True, text=True, check=False)
    assert gone(int(parent.stdout))


def test_files_in_the_users_folder_are_not_imported(artifact, tmp_path, monkeypatch):
    (tmp_path / "json.py").write_text("raise SystemExit('imported the wrong json')")
    monkeypatch.chdir(tmp_path)
    start(artifact("tiny")).close()
