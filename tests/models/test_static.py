"""Token vectors: by hand, and before training the teacher's own opinion of each token."""

import math

import pytest
import torch
from specs import static as static_spec

from millis import models
from millis.errors import MillisError
from millis.models import embeddings, static
from millis.models.static import StaticStudent


def test_logits_by_hand():
    """Vectors 2 and 8 with weights 1 and 3: (2 + 24) / 4 = 6.5, times 2, plus 1 = 14. Padding counts nothing."""
    model = models.build(static_spec(vocab_size=3, size=1, dropout=0.1, num_labels=1)).eval()
    with torch.no_grad():
        model.vectors.weight.copy_(torch.tensor([[2.0], [8.0], [99.0]]))
        model.log_weights.weight.copy_(torch.tensor([[0.0], [math.log(3)], [5.0]]))
        model.head.weight.fill_(2.0), model.head.bias.fill_(1.0)
        logits = model(torch.tensor([[0, 1, 2]]), torch.tensor([[1, 1, 0]]))
    assert logits.item() == pytest.approx(14.0)


def test_before_training_a_token_alone_gets_the_teachers_logits(teacher):
    """With all 32 components nothing is lost: student(t) = teacher([2] t [3])."""
    student = StaticStudent(size=32, source="encoder")
    model = models.build(student.spec(teacher.spec)).eval()
    student.initialise(model, teacher)
    with torch.no_grad():
        for token in (0, 7, 99):
            ids = torch.tensor([[2, token, 3]])
            expected = teacher(ids, torch.ones_like(ids))
            torch.testing.assert_close(model(ids[:, 1:2], torch.ones(1, 1)), expected, atol=1e-4, rtol=0)
    assert student.describe(model.spec) == "static 32"


def test_token_outputs_leave_the_teacher_in_its_mode_and_do_not_depend_on_it(teacher):
    outputs = static.token_outputs(teacher, batch_size=7)
    teacher.train()
    assert torch.allclose(static.token_outputs(teacher), outputs, atol=1e-6)
    assert teacher.training
    teacher.eval()
    assert outputs.shape == (100, 32)


def test_source_embeddings_takes_the_word_vectors(teacher):
    student = StaticStudent(size=8, source="embeddings")
    model = models.build(student.spec(teacher.spec))
    student.initialise(model, teacher)
    assert torch.equal(model.vectors.weight, embeddings.word_vectors(teacher, 8, "size"))


def test_faults(teacher):
    with pytest.raises(MillisError) as error:
        StaticStudent(source="encodr")
    assert str(error.value) == (
        "student.source='encodr' is unknown; expected one of encoder, embeddings (did you mean 'encoder'?)"
    )
    student = StaticStudent(size=33)
    with pytest.raises(MillisError, match=r"student\.size=33 is larger than the teacher's 32"):
        student.initialise(models.build(student.spec(teacher.spec)), teacher)
