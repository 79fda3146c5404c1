"""What students learn from: the teacher alone, or with the linear model, with a blend that is made up."""

import numpy as np
import pytest
from recipes import recipe
from tiny import TINY, write_slots

from millis.cli.hydra_app import composed
from millis.cli.recipes import run_of
from millis.data.dataset import Split
from millis.distillation.blend import Blend, blended
from millis.pipeline import keys, taught_answers
from millis.pipeline.student import plan
from millis.pipeline.taught_answers import blend_of, taught, with_further
from millis.serving.runner import load


@pytest.fixture
def half(monkeypatch):
    """Both have a half of the answers, whatever validation says; nothing that was kept before is read."""
    monkeypatch.setattr(taught_answers, "best_blend", lambda *_: Blend(0.5, 90.0, 80.0))
    monkeypatch.setattr(keys, "blend", lambda of_teacher: f"half-{of_teacher}")


def test_without_the_blend_it_is_the_teacher(teacher, half):
    train = teacher.inputs.dataset.train
    for alone in (recipe(blend=False), recipe(ensemble=[1])):
        assert blend_of(alone, teacher) == Blend()
        assert np.array_equal(taught(alone, teacher, train).logits[0], teacher.logits(train).logits[0])


def test_both_are_averaged_on_training_rows_and_on_texts_after_them(teacher, half):
    train = teacher.inputs.dataset.train
    more = Split([*train.texts, "one more text", "another"], [*train.references, 0, 0])
    (found,) = taught(recipe(), teacher, more).logits
    linear = taught_answers._linear(teacher, more)
    assert len(found) == len(linear) == len(train) + 2
    assert np.array_equal(found, blended(teacher.logits(more).logits[0], linear, 0.5))
    assert not np.allclose(found, teacher.logits(more).logits[0])
    on_rows = taught_answers._linear(teacher, train)
    assert np.array_equal(linear[: len(train)], on_rows), "further texts change no training row"


def test_a_student_that_learned_from_both_is_another(asked, half):
    both, alone = (plan(asked(*overrides)).fingerprint for overrides in ([], ["blend=false"]))
    assert both != alone
    unread = [plan(asked("distillation=none", *more)).fingerprint for more in ([], ["blend=false"])]
    assert unread[0] == unread[1], "a student of labels alone reads neither"


@pytest.fixture(scope="module")
def tagging(tmp_path_factory):
    """Makes a config of intent and slots."""
    folder = tmp_path_factory.mktemp("tagging")
    write_slots(folder / "data")
    common = [*TINY, "task=intent_slots", f"data.path={folder / 'data'}", f"paths.outputs={folder / 'outputs'}"]
    return lambda *overrides: composed("compress", [*common, *overrides])


def test_texts_without_labels_get_the_tags_that_requests_get(tagging):
    run = run_of(tagging("teacher.trainer.max_epochs=8", "teacher.optimizer.lr=0.005", "task.max_length=8"))
    # A word that no token is of, one that is past the longest sequence, and plain ones.
    further = ["fly to lima next friday", "rain \u200b in new york today", "please fly to rome " * 3, ""]
    answered = with_further(run.recipe, run.teacher, further).references[-len(further) :]
    runner = load(run.teacher.folder)
    assert answered == [runner.predict(text).value() for text in further]
    assert any(any(tags) for _, tags in answered), "the teacher marks something"
