import os
import re
import signal
import statistics
from dataclasses import replace
from itertools import chain
from typing import ClassVar

import numpy as np
import pytest
from filelock import FileLock

from millis.benchmark import environment as environments
from millis.benchmark import latency, turn
from millis.benchmark.latency import Bench, Options
from millis.benchmark.where import measure
from millis.errors import MillisError

TEXTS = ["a", "a a", "a a a", "a a a a"]
QUICK = Options(rounds=4, requests=3, settle_ms=0.5, steady_windows=1, processes=2)


class Fake:
    """In place of a worker: takes as many ms as its folder's name says, twice that while `Fake.slow`."""

    alive = 0
    slow = False
    asked: ClassVar[list] = []

    def __init__(self, name, artifact, first, threads, cpus, timeout_s, new_tokens):
        self.name, self.ms = name, float(artifact.name)
        self.cold_start_ms = 100 * self.ms
        self.stages = ("tokenize", "feed", "compute", "decode")
        Fake.alive += 1

    def ask(self, request, expected_s=0.0):
        ((key, value),) = request.items()
        if key == "warm":
            return {"steady": self.ms < 50, "requests": 7, "median_ms": self.ms}
        if key == "peak":
            return int(1000 * self.ms)
        if key == "burst":
            Fake.asked.append((self.name, value["order"]))
            end = int(1e6 * self.ms * (2 if self.slow else 1))
            return [[0, 0, 0, end, end, 0, 0]] * len(value["order"])
        return None

    def __enter__(self):
        return self

    def __exit__(self, *_):
        Fake.alive -= 1


@pytest.fixture
def fake(monkeypatch, tmp_path):
    """Makes artifact folders that `Fake` stands in for."""
    Fake.alive, Fake.slow, Fake.asked = 0, False, []
    monkeypatch.setattr(latency, "Worker", Fake)
    monkeypatch.setattr(latency, "bytes_of", lambda folder: 5)
    return lambda ms: tmp_path / str(ms)


def test_speedup_and_the_rest_by_hand(fake):
    measured = measure({"big": fake(8), "small": fake(2)}, TEXTS, "big", QUICK)
    small = measured["small"]
    assert small.metrics["speedup"] == 4.0
    assert small.intervals["speedup"] == (4.0, 4.0)
    assert small.metrics["latency_p50_ms"] == small.metrics["compute_p50_ms"] == 2.0
    assert (small.metrics["size_bytes"], small.metrics["peak_memory_bytes"]) == (5, 2000)
    assert small.metrics["cold_start_ms"] == 200
    assert small.latency_ms == [[2.0] * 3] * 4
    assert small.reference_latency_ms == [[8.0] * 3] * 4
    assert small.notes == []
    assert (small.environment["threads"], small.environment["rounds"]) == (1, 4)
    assert measured["big"].metrics["speedup"] == 1.0
    assert Fake.alive == 0


def test_each_round_gives_everyone_the_same_texts_in_a_new_order(fake):
    measure({"a": fake(1), "b": fake(2), "c": fake(3)}, TEXTS, "a", Options(rounds=20, requests=3))
    rounds = [Fake.asked[i : i + 3] for i in range(0, len(Fake.asked), 3)]
    assert len(rounds) == 20
    for turns in rounds:
        assert {name for name, _ in turns} == {"the reference", "b", "c"}
        assert len({tuple(order) for _, order in turns}) == 1
    assert len({tuple(name for name, _ in turns) for turns in rounds}) == 6  # every order of turns occurs


def test_processes_take_the_rounds_in_turn(fake, monkeypatch):
    original, served = Fake.ask, []

    def ask(self, request, expected_s=0.0):
        if "burst" in request and self.name == "small":
            served.append(id(self))
        return original(self, request)

    monkeypatch.setattr(Fake, "ask", ask)
    measure({"big": fake(8), "small": fake(2)}, TEXTS, "big", replace(QUICK, rounds=5))
    first, second = served[:2]
    assert first != second
    assert served == [first, second, first, second, first]


def test_what_processes_differ_by_is_in_the_intervals(fake, monkeypatch):
    # The small model's second process is 2 % slower than its first: Student's half-width, 1 degree of freedom, is
    # 12.71 · (log 1.02 / √2) / √2 = 0.126 about the middle of both.
    original, born = Fake.ask, []

    def ask(self, request, expected_s=0.0):
        answer = original(self, request)
        if "warm" in request and self.name == "small":
            born.append(self)
        slower = "burst" in request and self in born[1:]
        return [[*[int(1.02 * reading) for reading in one[:5]], 0, 0] for one in answer] if slower else answer

    monkeypatch.setattr(Fake, "ask", ask)
    small = measure({"big": fake(8), "small": fake(2)}, TEXTS, "big", QUICK)["small"]
    assert small.processes == [0, 1, 0, 1]
    for name, middle in (("latency_p50_ms", 2.02), ("speedup", 8 / 2.02)):
        low, high = small.intervals[name]
        assert low == pytest.approx(middle * np.exp(-0.126), rel=0.05)
        assert high == pytest.approx(middle * np.exp(0.126), rel=0.05)


def test_a_quantile_gets_as_many_requests_as_it_takes(fake):
    # A p99 takes 1,022 requests: 103 rounds of ten. So slow a reference would be cut to three a round without it.
    options = Options(quantile=0.99, processes=2)
    assert (options.needed, options.turns) == (1022, 103)
    fast = measure({"slow": fake(100), "fast": fake(1)}, TEXTS, "slow", options)["fast"]
    assert [len(samples) for samples in fast.latency_ms] == [10] * 103
    assert fast.environment["rounds"] == 103
    assert Options().turns == Options(quantile=0.9).turns == 30
    assert Options(rounds=200, requests=20, quantile=0.99).turns == 200


@pytest.mark.parametrize("quantile", [0, 1, 99])
def test_a_quantile_that_is_none(quantile):
    with pytest.raises(
        MillisError, match=rf"benchmark.quantile={quantile}: expected a share .* such as 0.99 for a p99"
    ):
        Options(quantile=quantile)


def test_drift_is_noted_and_the_speedup_stands(fake, monkeypatch):
    original = Fake.ask

    def ask(self, request, expected_s=0.0):
        Fake.slow = len(Fake.asked) >= 4  # the last two of four rounds of two
        return original(self, request)

    monkeypatch.setattr(Fake, "ask", ask)
    small = measure({"big": fake(8), "small": fake(2)}, TEXTS, "big", QUICK)["small"]
    assert small.metrics["speedup"] == 4.0
    assert small.environment["reference_drift"] == pytest.approx(8 / 12)  # (16 - 8) / median of 8 8 16 16
    assert "the reference's median latency ranged over 67% between rounds, more than the 20% allowed" in small.notes[0]


def test_waits_are_noted(fake, monkeypatch):
    original = Fake.ask

    def ask(self, request, expected_s=0.0):
        answer = original(self, request)
        return [[*reading[:5], 500_000, 0] for reading in answer] if "burst" in request else answer

    monkeypatch.setattr(Fake, "ask", ask)
    small = measure({"big": fake(8), "small": fake(2)}, TEXTS, "big", QUICK)["small"]
    assert small.metrics["latency_p50_ms"] == 1.5
    assert "other processes held the CPU for 25% of the time; the wait is not counted" in small.notes[0]


def test_slow_artifacts_get_fewer_requests_and_a_note(fake):
    # 40 rounds of 100 ms are 4 s a request; 10 s allow 2, and 3 is the least.
    options = Options(rounds=40, requests=10, seconds=10, processes=1)
    slow = measure({"slow": fake(100), "fast": fake(1)}, TEXTS, "slow", options)["slow"]
    assert [len(samples) for samples in slow.latency_ms] == [3] * 40
    assert "3 requests a round instead of 10, to stay within 10 s an artifact" in slow.notes[0]
    assert "latency was not steady after warming up for 3 s, 7 requests" in slow.notes[1]


def test_a_bench_keeps_the_reference_and_ends_the_candidates(fake):
    with Bench(fake(8), TEXTS, QUICK) as bench:
        assert Fake.alive == 2
        assert bench.measure({"one": fake(2)})["one"].metrics["speedup"] == 4.0
        assert Fake.alive == 2
        assert bench.measure({"two": fake(16)})["two"].metrics["speedup"] == 0.5
    assert Fake.alive == 0


@pytest.mark.parametrize("fault", [RuntimeError, KeyboardInterrupt])
def test_nothing_is_left_running_after_a_fault(fake, monkeypatch, fault):
    original = Fake.ask

    def ask(self, request, expected_s=0.0):
        if "burst" in request:
            raise fault
        return original(self, request)

    monkeypatch.setattr(Fake, "ask", ask)
    with pytest.raises(fault):
        measure({"big": fake(8), "small": fake(2)}, TEXTS, "big", QUICK)
    assert Fake.alive == 0


def test_a_reference_that_does_not_warm_up_is_ended(fake, monkeypatch):
    monkeypatch.setattr(Fake, "ask", lambda *_, **__: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        Bench(fake(8), TEXTS, QUICK)
    assert Fake.alive == 0


def test_real_processes_with_more_to_do_take_longer(artifact):
    folder = artifact("light")
    measured = measure({"light": folder, "heavy": artifact("heavy", work=100)}, TEXTS, "light", QUICK)
    light, heavy = measured["light"], measured["heavy"]
    assert heavy.metrics["speedup"] < 0.8
    assert light.metrics["speedup"] == 1.0
    for one in (light, heavy):
        assert [len(samples) for samples in one.latency_ms] == [3] * 4
        assert one.metrics["latency_p50_ms"] == statistics.median(chain(*one.latency_ms))
        assert one.metrics["latency_p50_ms"] > one.metrics["compute_p50_ms"] > 0
    assert heavy.reference_latency_ms == light.latency_ms
    files = [path for path in folder.iterdir() if path.name != "manifest.json"]
    assert light.metrics["size_bytes"] == sum(path.stat().st_size for path in files)


def test_a_reference_that_is_not_there(fake):
    with pytest.raises(
        MillisError, match=r"reference 'larg' is not among the artifacts 'large' \(did you mean 'large'\?\)"
    ):
        measure({"large": fake(1)}, TEXTS, "larg", QUICK)


def test_no_texts(fake):
    with pytest.raises(MillisError, match="there are no texts to measure latency with: expected the test split's"):
        Bench(fake(1), [], QUICK)


def test_options_that_measure_nothing():
    with pytest.raises(MillisError, match=r"benchmark.rounds=0 measures nothing: expected 1 or more"):
        Options(rounds=0)
    with pytest.raises(MillisError, match=r"benchmark.new_tokens=1: expected at least 2; the first is timed apart"):
        Options(new_tokens=1)
    with pytest.raises(MillisError, match=r"benchmark.processes=3 take turns in benchmark.rounds=2: some would"):
        Options(rounds=2, processes=3)


def test_cpus_are_the_last_allowed_unless_named(monkeypatch):
    monkeypatch.setattr(latency, "available_cpus", lambda: [2, 3, 5, 7])
    assert Options().cpus() == [7]
    assert Options(threads=2).cpus() == [5, 7]
    assert Options(affinity=(3,)).cpus() == [3]
    with pytest.raises(MillisError, match=r"benchmark.affinity names CPUs \[4\], this process may use \[2, 3, 5, 7\]"):
        Options(affinity=(3, 4)).cpus()
    assert Options(threads=5).cpus() == [2, 3, 5, 7]
    with pytest.raises(MillisError, match=r"benchmark.threads=2 on 1 CPUs would time threads waiting for each other"):
        Options(threads=2, affinity=(3,)).cpus()
    monkeypatch.setattr(latency, "available_cpus", list)
    assert Options(affinity=(3,)).cpus() == []  # a system that cannot pin


def test_more_threads_than_cpus_are_noted_once(fake):
    small = measure({"big": fake(8), "small": fake(2)}, TEXTS, "big", replace(QUICK, threads=1000))["small"]
    (note,) = [note for note in small.notes if "threads" in note]
    assert re.fullmatch(r"threads=1000 on \d+ CPUs?: threads wait for each other. threads=\d+ is faster", note)


@pytest.mark.parametrize(("timeout_s", "patience_s"), [(0, 1), (-1, 1), (float("nan"), 1), (1, -1)])
def test_a_time_to_wait_that_is_none(timeout_s, patience_s):
    with pytest.raises(MillisError, match=r"benchmark.timeout_s=.* are times to wait: expected seconds, more than 0"):
        Options(timeout_s=timeout_s, patience_s=patience_s)


def test_a_process_that_hangs_does_not_keep_the_machine(artifact, tmp_path, monkeypatch):
    monkeypatch.setattr(turn, "private_folder", lambda: tmp_path)
    with Bench(artifact("tiny"), TEXTS, replace(QUICK, processes=1)) as bench:
        (worker,) = bench._reference.workers
        worker.timeout_s = 0.2
        os.kill(worker._process.pid, signal.SIGSTOP)
        with pytest.raises(MillisError, match=r"process of the reference hung: for \S+ s .* while it was being timed"):
            bench.measure({"same": bench.reference})
        FileLock(tmp_path / ".benchmark.lock", timeout=0).acquire()


def test_a_slow_artifact_has_time_for_its_work(fake, monkeypatch):
    waited, original = [], Fake.ask

    def ask(self, request, expected_s=0.0):
        waited.append(expected_s)
        return original(self, request)

    monkeypatch.setattr(Fake, "ask", ask)
    measure({"big": fake(3000)}, TEXTS, "big", QUICK)
    assert set(waited) == {0.0, 3 * 3.0}  # three requests of 3 s


def test_a_quota_is_noted_with_what_it_cost(fake, monkeypatch):
    monkeypatch.setattr(environments, "quota", lambda: 0.2)
    monkeypatch.setattr(latency, "throttled_share", lambda readings: 0.31)
    small = measure({"big": fake(8), "small": fake(2)}, TEXTS, "big", QUICK)["small"]
    (note,) = [note for note in small.notes if "quota" in note]
    assert "may use 0.2 CPUs' time" in note and "held requests back for 31% of it; that is counted as latency" in note
    assert small.environment["machine"]["cpu_quota"] == 0.2
    assert small.environment["throttled_share"] == 0.31


def test_a_quota_says_how_many_cpus_at_once_and_not_which(monkeypatch):
    monkeypatch.setattr(latency, "available_cpus", lambda: [7])
    monkeypatch.setattr(latency, "affinity", lambda: [2, 3, 5, 7])
    assert Options(threads=2).cpus() == [7]
    assert Options(affinity=(3,)).cpus() == [3]
