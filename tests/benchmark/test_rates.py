from types import SimpleNamespace

import pytest
import torch
from filelock import FileLock, Timeout

from millis.benchmark import rates, turn
from millis.benchmark.rates import Rates, best_seconds, largest_cache, measure_rates
from millis.errors import MillisError
from millis.temporaries import private_folder


def test_the_best_of_several_runs(monkeypatch):
    # Readings: end = 0 + 1; then runs of 0.5, 0.2, 0.4, 0.3 and 0.6 s; five at least, though the time is over.
    readings = iter([0.0, 0.0, 0.5, 0.5, 0.7, 0.7, 1.1, 1.1, 1.4, 1.4, 2.0, 2.0])
    monkeypatch.setattr(rates, "busy_seconds", lambda: next(readings))
    calls = []
    assert best_seconds(lambda: calls.append(1), seconds=1.0) == pytest.approx(0.2)
    assert len(calls) == 6  # one to warm up


def test_the_largest_cache_is_read_off_the_system(tmp_path):
    for index, text in enumerate(("32K", "1024K", "16M")):
        (tmp_path / f"index{index}").mkdir()
        (tmp_path / f"index{index}" / "size").write_text(text + "\n")
    assert largest_cache(tmp_path) == 16 << 20
    assert largest_cache(tmp_path / "nothing") == 0


def test_a_process_of_its_own_measures(monkeypatch):
    monkeypatch.setattr(rates, "__name__", "tests_stand_in")
    with pytest.raises(
        MillisError, match=r"the process that measures this machine failed. Its last words:\n.*No module"
    ):
        measure_rates(1, [])


def test_no_other_measurement_runs_meanwhile(monkeypatch, tmp_path):
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))

    def run(*_, **__):
        with pytest.raises(Timeout):
            FileLock(private_folder() / ".benchmark.lock", timeout=0).acquire()
        return SimpleNamespace(returncode=1, stderr="tried")

    monkeypatch.setattr(rates.subprocess, "run", run)
    with pytest.raises(MillisError, match="tried"):
        measure_rates(1, [])


def test_a_process_that_hangs_is_ended_and_told(monkeypatch, tmp_path):
    monkeypatch.setattr(turn, "private_folder", lambda: tmp_path)
    monkeypatch.setattr(rates, "SECONDS", 0.0)
    (tmp_path / "sleeper.py").write_text("import time; time.sleep(600)")
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    monkeypatch.setattr(rates, "__name__", "sleeper")
    with pytest.raises(MillisError, match=r"hung: it was not done after 0.2 s, .*raise benchmark.timeout_s"):
        measure_rates(1, [], timeout_s=0.2)
    FileLock(tmp_path / ".benchmark.lock", timeout=0).acquire()


@pytest.mark.parametrize("bf16", [True, False])
def test_numbers_are_rates_and_none_of_arithmetic_that_is_not_there(monkeypatch, capsys, bf16):
    monkeypatch.setattr(
        torch.cpu, "get_capabilities", lambda: {"architecture": "x86_64", "avx2": True, "avx512_bf16": bf16}
    )
    monkeypatch.setattr(rates, "SIZE", 32)
    monkeypatch.setattr(rates, "ARRAY_BYTES", 1 << 12)
    monkeypatch.setattr(rates, "best_seconds", lambda kernel: kernel() is None or 0.5)
    rates.main(["1", ""])
    found = Rates(**__import__("json").loads(capsys.readouterr().out))
    assert found.fp32 == found.int8 == 2 * 32**3 / 0.5
    assert found.bf16 == (found.fp32 if bf16 else 0)
    assert found.bandwidth == (1 << 12) / (0.5 / 3)  # a triad names three arrays


def test_a_wait_between_the_readings_is_not_taken_for_a_gain(monkeypatch):
    # The CPU is lost for 5 s right after the clock is read: that reading is thrown away.
    waits, clock = iter([1_000_000_000, 6_000_000_000, 6_000_000_000, 6_000_000_000]), iter([3e9, 9e9])
    monkeypatch.setattr(rates, "waited_ns", lambda: next(waits))
    monkeypatch.setattr(rates, "perf_counter_ns", lambda: next(clock))
    assert rates.busy_seconds() == 3.0
