"""Killed at any file operation after its training, a teacher or a student is there when the command is given again."""

import shutil
from dataclasses import replace

import pytest
from killing import Killed, lived

from millis.cli.recipes import fine_tuning_of, place_of
from millis.pipeline import teacher as teachers
from millis.pipeline import trained_once
from millis.pipeline.student import ensure_student, plan
from millis.pipeline.teacher import ensure_teacher
from millis.training.callbacks import Progress


@pytest.fixture
def epochs(monkeypatch):
    """Every epoch that is trained, as it ends."""
    trained = []
    original = Progress.on_validation_end
    monkeypatch.setattr(Progress, "on_validation_end", lambda *given: (trained.append(1), original(*given))[1])
    return trained


def killed_everywhere(place, make, epochs):
    """`make` with what its training left in `place`, dying at each operation in turn, and once more unharmed."""
    (checkpoints,) = place.glob("*.checkpoints")
    kept = shutil.copytree(place, place.with_name("kept"))

    def restore():
        shutil.rmtree(place)
        shutil.copytree(kept, place)
        for result in [*place.glob("*.json"), *place.glob("*.safetensors")]:
            result.unlink()
        epochs.clear()

    restore()
    with lived(place) as whole:
        expected = make()
    assert not checkpoints.exists() and not epochs
    assert any("best.ckpt" in seen for seen in whole.seen), "the deletion of checkpoints is among what is tried"
    for left in range(len(whole.seen)):
        restore()
        with pytest.raises(Killed), lived(place, left):
            make()
        assert (make(), len(epochs)) == (expected, 0), f"killed at {whole.seen[left]}"
        assert not list(place.glob("*checkpoints*")) and not list(place.glob(".*.partial")), whole.seen[left]
    restore()
    next(checkpoints.rglob("best.ckpt")).unlink()  # deleted by halves, by an older version or by hand
    assert make() == expected and epochs and not checkpoints.exists()


def test_a_student(asked, teacher, epochs, tmp_path, monkeypatch):
    elsewhere = replace(teacher, inputs=replace(teacher.inputs, cache=tmp_path))
    run = replace(asked("seed=11", "trainer.max_epochs=1"), teacher=elsewhere)
    planned = plan(run)

    def make():
        model, fitted = ensure_student(run, planned)
        return {name: value.tolist() for name, value in model.state_dict().items()}, fitted.epochs, fitted.quality

    with monkeypatch.context() as patch:
        patch.setattr(trained_once, "discard", lambda folder: None)
        make()
    killed_everywhere(tmp_path / "student", make, epochs)


def test_a_teacher(config, epochs, tmp_path, monkeypatch):
    cfg = config("teacher.trainer.max_epochs=1", f"paths.cache={tmp_path}")

    def make():
        teachers._opened.clear()
        teacher = ensure_teacher(fine_tuning_of(cfg), place_of(cfg))
        weights = {name: value.tolist() for name, value in teacher.module.state_dict().items()}
        return weights, teacher.fitted.epochs, teacher.fitted.quality

    with monkeypatch.context() as patch:
        patch.setattr(trained_once, "discard", lambda folder: None)
        make()
    killed_everywhere(tmp_path / "teacher", make, epochs)
