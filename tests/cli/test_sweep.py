"""What a sweep says of its trials, and when it ends."""

from types import SimpleNamespace

import pytest

from millis.cli import sweep
from millis.cli.sweep import Listener, _end_notes, _skip_notes
from millis.sweep.listener import Agenda


@pytest.fixture
def ended(monkeypatch, capsys, tmp_path):
    """Ends a sweep with so many finished and running trials, of a plan of six; what it says."""
    monkeypatch.setattr(sweep, "conclude", lambda *_: None)
    monkeypatch.setattr(sweep, "report", lambda _: None)

    def end(finished, running, timeout_s):
        rows = [{"attrs": {}, "error": None, "skipped": False} for _ in range(finished)]
        monkeypatch.setattr(sweep, "finished", lambda _: rows)
        states = ["COMPLETE"] * finished + ["RUNNING"] * running + ["WAITING"]
        trials = [SimpleNamespace(state=SimpleNamespace(name=name)) for name in states]
        listener = Listener()
        listener.agenda, listener.references = Agenda([], 6), []
        listener.run = SimpleNamespace(teacher=SimpleNamespace(inputs=SimpleNamespace(cache=tmp_path)))
        listener.study = SimpleNamespace(timeout_s=timeout_s, rungs=None)
        listener.end(SimpleNamespace(get_trials=lambda deepcopy: trials))
        return capsys.readouterr().err

    return end


def test_what_the_time_was_not_enough_for_is_said(ended):
    said = ended(4, 0, 100)
    assert said.startswith("2 trials of the plan were not begun: ") and "study.timeout_s=100 is spent. The same" in said


@pytest.mark.parametrize(("finished", "running", "timeout_s"), [(6, 0, 100), (5, 1, 100), (4, 0, None)])
def test_nothing_is_said_where_all_was_begun_or_time_has_no_limit(ended, finished, running, timeout_s):
    assert ended(finished, running, timeout_s).startswith("measuring the teacher")


def test_a_training_that_a_rung_ended_is_said_to_be(capsys):
    listener = Listener()
    listener.study = SimpleNamespace(directions={"quality": "maximize", "latency_p50_ms": "minimize"})
    metrics = {"quality": 71.0, "latency_p50_ms": 2.0, "trained_share": 0.25}
    listener.told(0, 9, {"student": "static"}, metrics, None)
    assert capsys.readouterr().err == "trial 1/9  student=static\n  ended after 25% of its training, 2.00 ms\n"
    assert not listener.best, "what was not trained to its end is no best one"


ENDED = {"attrs": {"name": "b", "training_s": 3.0, "ended": "stopped at 1/4: dominated by a"}, "skipped": False}
WHOLE = {"attrs": {"name": "a", "training_s": 9.0}, "skipped": False}


def test_notes_name_what_rungs_ended_and_what_was_skipped():
    assert _end_notes([WHOLE, ENDED]) == ["1 of 2 trainings were ended at a rung: b stopped at 1/4: dominated by a"]
    assert _end_notes([WHOLE]) == []
    skipped = {"attrs": {"name": "c", "training_s": 0.0}, "skipped": True}
    unjudged = {**ENDED, "skipped": True}  # it has no quality in the task's own metric
    assert _skip_notes([WHOLE, unjudged]) == []
    assert _skip_notes([WHOLE, unjudged, skipped]) == [
        "1 of 3 trials were over the budget before training and skipped, about 9 s of training saved"
    ]
