import time

import pytest

from millis.benchmark import worker


def test_pairs_come_back_from_json_as_tuples():
    assert worker._text(["a", "b"]) == ("a", "b")
    assert worker._text("a") == "a"


@pytest.mark.skipif(worker._SCHEDSTAT is None, reason="this system does not tell")
def test_sleeping_is_not_waiting_for_the_cpu():
    before, start = worker.waited_ns(), time.perf_counter_ns()
    time.sleep(0.05)
    assert worker.waited_ns() - before < (time.perf_counter_ns() - start) / 2


def test_a_system_that_does_not_tell_counts_no_wait(monkeypatch):
    monkeypatch.setattr(worker, "_SCHEDSTAT", None)
    assert worker.waited_ns() == 0


def test_peak_memory_grows_with_what_is_held():
    before = worker.peak_memory_bytes()
    held = bytearray(before)  # as much again, and written to
    assert worker.peak_memory_bytes() > before
    del held
