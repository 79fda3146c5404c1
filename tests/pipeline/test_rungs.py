"""What the rungs of a search know of its trainings, and that nothing of a training is lost at them."""

import shutil
from dataclasses import asdict
from types import SimpleNamespace

import pytest
import torch
from killing import Killed, lived

from millis.pipeline import compress
from millis.pipeline.compress import Ended, compete
from millis.pipeline.rungs import Bracket, course_of
from millis.pipeline.student import checkpoints_of, ensure_student, plan, train_student, weights_path
from millis.store import write_json
from millis.sweep.rungs import Course, Rungs
from millis.training.rungs import Stopped

AIMS = {"quality": "maximize", "latency_p50_ms": "minimize"}
LONG = ["trainer.max_epochs=4", "trainer.patience=4"]
RULE = Rungs(shares=(0.25, 0.5), kept=1.0)
PERFECT = 100.0
KIND = "millis.models.student.TransformerStudent"


@pytest.fixture
def bracket(tmp_path):
    """Three transformers have ended as good as they were at 1/4, the last of them perfect and in 1 ms."""
    found = Bracket(RULE, tmp_path / "rungs", AIMS)
    for ms, quality in ((3.0, 10.0), (2.0, 20.0), (1.0, PERFECT)):
        reached = [(share, quality) for share in RULE.shares]
        ended = Course(f"{ms:g} ms", f"of {ms:g} ms", KIND, {"latency_p50_ms": ms}, reached, quality)
        write_json(found.folder / f"{ms:g}.json", asdict(ended))
    return found


def measured(ms):
    return SimpleNamespace(metrics={"latency_p50_ms": ms}, intervals={}, latency_ms=[])


def test_a_training_that_cannot_reach_the_frontier_is_ended_kept_and_continued_for_a_recipe_that_can(
    asked, bracket, monkeypatch, capsys
):
    run = asked(*LONG, "distillation.alpha=0.62")
    planned = plan(run)
    monkeypatch.setattr(compress, "judged_latency", lambda *_: measured(2.0))
    outcome = compete(run, bracket)
    assert isinstance(outcome, Ended)
    assert outcome.stopped.reason.startswith("stopped at 1/4: dominated by 1 ms, whose 100.00 it would not pass: ")
    assert outcome.seconds > 0
    assert outcome.metrics["trained_share"] == 0.25
    assert outcome.stopped.reason in capsys.readouterr().err
    assert not weights_path(run.teacher.inputs.cache, planned.fingerprint).exists()
    assert (checkpoints_of(run.teacher, planned) / "0" / "last.ckpt").is_file()

    again = compete(run, bracket)  # the same command once more
    assert (again.stopped.reason, again.seconds) == (outcome.stopped.reason, 0.0), "it was trained again"
    assert "epoch" not in capsys.readouterr().err

    quicker = bracket.entrant(asked(*LONG, "distillation.alpha=0.62", "quantization=dynamic"), planned, measured(0.5))
    quicker.begin()  # nothing costs less
    model, fitted = ensure_student(run, planned, quicker)
    assert "epoch 1/4" not in capsys.readouterr().err, "it began anew"
    assert fitted.epochs == 4
    quicker.end(fitted)
    ended = course_of(quicker.path)
    assert (ended.final, ended.stopped, [share for share, _ in ended.reached]) == (fitted.quality, "", [0.25, 0.5])

    whole, _ = train_student(run, planned)  # its checkpoints are gone, so from the beginning
    assert "epoch 1/4" in capsys.readouterr().err
    assert all(torch.equal(a, b) for a, b in zip(model.parameters(), whole.parameters(), strict=True))


def test_killed_at_any_file_operation_a_rung_ends_the_same_training_and_what_goes_on_ends_alike(
    asked, bracket, tmp_path_factory
):
    everything = tmp_path_factory.getbasetemp()
    run = asked(*LONG, "distillation.temperature=1.5")
    planned = plan(run)
    entrant = bracket.entrant(run, planned, measured(2.0))
    folder = checkpoints_of(run.teacher, planned)

    def attempt():
        with pytest.raises(Stopped) as ended:
            entrant.begin()
            ensure_student(run, planned, entrant)
        return ended.value.reason, ended.value.share, ended.value.quality, course_of(entrant.path)

    def anew():
        shutil.rmtree(folder, ignore_errors=True)
        entrant.path.unlink(missing_ok=True)

    with lived(everything) as life:
        unbroken = attempt()
    anew()
    whole, _ = train_student(run, planned)
    for left in range(len(life.seen)):
        anew()
        with pytest.raises(Killed), lived(everything, left):
            attempt()
        assert attempt() == unbroken, f"killed at {life.seen[left]}"
    for left in (len(life.seen) - 2, len(life.seen) - 1):  # what the judge keeps and the checkpoint are written here
        anew()
        with pytest.raises(Killed), lived(everything, left):
            attempt()
        model, _ = train_student(run, planned)
        assert all(torch.equal(a, b) for a, b in zip(model.parameters(), whole.parameters(), strict=True))
