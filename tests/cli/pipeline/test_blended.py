"""What students learn from: the teacher alone, or with the linear model, with a blend that is made up."""

import numpy as np
import pytest

from millis.cli.pipeline import blended as pipeline
from millis.cli.pipeline.blended import blend_of, taught
from millis.cli.pipeline.student import plan
from millis.data.dataset import Split
from millis.distillation.blend import Blend, blended


@pytest.fixture
def half(monkeypatch):
    """Both have a half of the answers, whatever validation says; nothing that was kept before is read."""
    monkeypatch.setattr(pipeline, "choose", lambda *_: Blend(0.5, 90.0, 80.0))
    monkeypatch.setattr(pipeline, "_key", lambda teacher: f"half-{teacher.fingerprint}")


def test_without_the_blend_it_is_the_teacher(config, teacher, half):
    train = teacher.inputs.dataset.train
    for overrides in (["blend=false"], ["ensemble=[1]"]):
        assert blend_of(config(*overrides), teacher) == Blend()
        assert np.array_equal(taught(config(*overrides), teacher, train).logits[0], teacher.logits(train).logits[0])


def test_both_are_averaged_on_training_rows_and_on_texts_after_them(config, teacher, half):
    train = teacher.inputs.dataset.train
    more = Split([*train.texts, "one more text", "another"], [*train.references, 0, 0])
    (found,) = taught(config(), teacher, more).logits
    linear = pipeline._linear(teacher, more)
    assert len(found) == len(linear) == len(train) + 2
    assert np.array_equal(found, blended(teacher.logits(more).logits[0], linear, 0.5))
    assert not np.allclose(found, teacher.logits(more).logits[0])
    assert np.array_equal(linear[: len(train)], pipeline._linear(teacher, train)), (
        "further texts change no training row"
    )


def test_a_student_that_learned_from_both_is_another(config, teacher, half):
    both, alone = (plan(config(*overrides), teacher).fingerprint for overrides in ([], ["blend=false"]))
    assert both != alone
    unread = [plan(config("distillation=none", *more), teacher).fingerprint for more in ([], ["blend=false"])]
    assert unread[0] == unread[1], "a student of labels alone reads neither"
