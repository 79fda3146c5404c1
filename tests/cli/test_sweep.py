"""What a sweep says when it ends."""

from types import SimpleNamespace

import pytest

from millis.cli import sweep
from millis.cli.sweep import Listener
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
        listener.study = SimpleNamespace(timeout_s=timeout_s)
        listener.end(SimpleNamespace(get_trials=lambda deepcopy: trials))
        return capsys.readouterr().err

    return end


def test_what_the_time_was_not_enough_for_is_said(ended):
    said = ended(4, 0, 100)
    assert said.startswith("2 trials of the plan were not begun: ") and "study.timeout_s=100 is spent. The same" in said


@pytest.mark.parametrize(("finished", "running", "timeout_s"), [(6, 0, 100), (5, 1, 100), (4, 0, None)])
def test_nothing_is_said_where_all_was_begun_or_time_has_no_limit(ended, finished, running, timeout_s):
    assert ended(finished, running, timeout_s).startswith("measuring the teacher")
