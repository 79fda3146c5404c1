"""What cannot be fine-tuned, and how a teacher that is asked for is said."""

import pytest
from recipes import tuning

from millis.distillation.objective import Distillation
from millis.errors import MillisError
from millis.pipeline.teacher_search import TeacherSearch
from millis.training.fit import Fit
from millis.training.optim import AdamW


@pytest.mark.parametrize(
    ("parts", "message"),
    [
        (
            {"objective": Distillation(alpha=0.5)},
            r"^teacher\.objective\.alpha=0\.5: a teacher has no teacher, expected 0$",
        ),
        (
            {"search": TeacherSearch(), "trainer": Fit(0)},
            "^teacher=searched fine-tunes, and teacher.trainer.max_epochs=0 does not: choose one of them$",
        ),
    ],
)
def test_what_cannot_be_is_refused(parts, message):
    with pytest.raises(MillisError, match=message):
        tuning(**parts)


def test_another_rate_leaves_the_rest_as_it_is():
    first = tuning(optimizer=AdamW(0.4, 0.2, warmup=0.3))
    again = first.at_rate(0.1, freeze_embeddings=True)
    assert again == tuning(optimizer=AdamW(0.1, 0.2, warmup=0.3, freeze_embeddings=True))


def test_it_is_said_as_a_config_is_laid_out():
    said = tuning(seed=5).described
    assert set(said) == {"data", "task", "model", "teacher"}
    assert said["teacher"]["objective"]["_target_"] == "millis.distillation.objective.Distillation"
    assert (said["teacher"]["optimizer"]["lr"], said["teacher"]["adapter"], said["teacher"]["seed"]) == (1e-3, None, 5)
