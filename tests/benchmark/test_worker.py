import os
from types import SimpleNamespace

import numpy as np
from causal import TEXTS, written

from millis.benchmark import worker
from millis.described import described
from millis.errors import MillisError
from millis.generation.greedy import Greedy
from millis.serving import runner
from millis.types import Features


def itself(text):
    """What a user would send of a text of the data."""
    return text


def test_pairs_come_back_from_json_as_tuples_and_are_what_a_user_would_send():
    timer = worker._Timer(SimpleNamespace(request=lambda text: (text, "sent")), alive=list)
    timer.remember([["a", "b"], "a"])
    assert timer.texts == [(("a", "b"), "sent"), ("a", "sent")]


def test_what_writes_writes_so_much_from_then_on(tmp_path):
    """Every request is a prompt, the first half of its text, and has as many tokens as were asked for."""
    timer = worker._Timer(runner.load(written(tmp_path / "a", generation=described(Greedy(max_tokens=3)))), alive=list)
    assert timer.first("the cat sat", new_tokens=9)["stages"] == ["tokenize", "feed", "first", "write", "decode"]
    timer.remember(TEXTS[:3])
    assert timer.texts == ["the cat sat", "a dog sat", "größer"]
    assert [len(timer.runner.predict(text).tokens) for text in timer.texts] == [9, 9, 9]
    assert [len(readings) for readings in timer.stamps([2, 0])] == [8, 8]


def test_peak_memory_grows_with_what_is_held():
    before = worker.peak_memory_bytes()
    held = bytearray(before)  # as much again, and written to
    assert worker.peak_memory_bytes() > before
    del held


def test_a_batch_is_of_different_texts():
    """Copies of one would leave a model with early exits all at once."""
    seen = []
    rows = {"a": [1, 2], "b": [3], "c": [4, 5, 6]}
    runner = SimpleNamespace(
        request=itself,
        tokenize=rows.get,
        feed=lambda ids: Features(np.array([ids]), np.ones((1, len(ids)), np.int64), None),
        compute=seen.append,
    )
    timer = worker._Timer(runner, alive=list)
    timer.remember(list(rows))
    assert len(timer.shape(batch=4, length=3, seconds=0)) >= 5
    assert seen[0].ids.tolist() == [[1, 2, 1], [3, 3, 3], [4, 5, 6], [1, 2, 1]]
    assert seen[0].mask.tolist() == [[1, 1, 1]] * 4


def test_it_says_that_it_is_alive_after_each_length_and_each_pass():
    runner = SimpleNamespace(request=itself, shape=lambda text: (len(text.split()),))
    runner.stages = (("tokenize", str.split), ("decode", lambda encoding: encoding))
    signs = []
    timer = worker._Timer(runner, alive=lambda: signs.append(1))
    timer.remember(["a", "a a", "b b", "a a a"])
    warm = timer.warm(window=[0, 1], tolerance=float("inf"), windows=2, seconds=60.0)
    assert warm["requests"] == 3 + 2 * 2 and len(signs) == 3 + 2


def test_readings_stand_around_each_stage_and_the_first_answer_names_them():
    passed = []
    stages = (("read", lambda text: passed.append(text) or len(text)), ("count", passed.append))
    timer = worker._Timer(SimpleNamespace(request=itself, stages=stages, predict=stages[0][1]), alive=list)
    timer.remember(["a", "bcd"])
    readings = timer.stamps([1, 0])
    assert passed == ["bcd", 3, "a", 1]
    assert [len(one) for one in readings] == [5, 5] and all(sorted(one[:3]) == list(one[:3]) for one in readings)
    first = timer.first("a", new_tokens=9)
    assert first["stages"] == ["read", "count"] and first["waited_ns"] >= 0


def test_what_a_command_has_let_through_is_loaded_as_trusted(monkeypatch):
    loaded = []

    def load(artifact, threads, trust_code):
        loaded.append((artifact, threads, trust_code))
        raise MillisError("that was all")

    monkeypatch.setattr("millis.applications.runner.load", load)
    monkeypatch.setattr(worker.os, "dup", lambda _: os.open(os.devnull, os.O_WRONLY))
    monkeypatch.setattr(worker.os, "dup2", lambda *_: None)
    worker.main(["folder", "2", ""])
    assert loaded == [("folder", 2, True)]
