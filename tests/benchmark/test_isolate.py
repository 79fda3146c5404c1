import os
import signal
import subprocess
import sys
import time

import pytest

from millis.benchmark.isolate import Worker, worker_environment
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


def test_a_worker_does_not_know_an_agents_token(monkeypatch):
    for name in ("MILLIS_AGENT_TOKEN", "MILLIS_AGENT_TOKEN_FILE"):
        monkeypatch.setenv(name, "secret")
    assert "secret" not in worker_environment(1).values()


def test_files_in_the_users_folder_are_not_imported(artifact, tmp_path, monkeypatch):
    (tmp_path / "json.py").write_text("raise SystemExit('imported the wrong json')")
    monkeypatch.chdir(tmp_path)
    start(artifact("tiny")).close()
