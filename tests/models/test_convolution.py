"""Kim's network by hand, and its student."""

import pytest
import torch

from millis import models
from millis.errors import MillisError
from millis.models import embeddings
from millis.models.convolution import ConvolutionStudent


def test_logits_by_hand():
    """One channel, token i has vector i. Width 1 times 2: max(2, 6, 4) = 6. Width 3, sums: 4, 6, 5, so max 6 - 1 = 5.
    Logit = 6 + 10 * 5 = 56. The padding's 9 is in no window."""
    spec = {"family": "convolution", "vocab_size": 10, "embedding_size": 1, "filters": 1, "widths": [1, 3]}
    model = models.build(models.read({**spec, "dropout": 0.5, "num_labels": 1})).eval()
    with torch.no_grad():
        model.embedding.weight.copy_(torch.arange(10.0)[:, None])
        model.windows[0].weight.fill_(2.0), model.windows[0].bias.fill_(0.0)
        model.windows[1].weight.fill_(1.0), model.windows[1].bias.fill_(-1.0)
        model.head.weight.copy_(torch.tensor([[1.0, 10.0]])), model.head.bias.fill_(0.0)
        assert model(torch.tensor([[1, 3, 2, 9]]), torch.tensor([[1, 1, 1, 0]])).tolist() == [[56.0]]


def test_student_reads_the_teachers_vocabulary(teacher):
    student = ConvolutionStudent(embedding_size=8, filters=16, widths=[3, 5])
    spec = student.spec(teacher.spec)
    model = models.build(spec)
    student.initialise(model, teacher)
    assert torch.equal(model.embedding.weight, embeddings.word_vectors(teacher, 8, "size"))
    assert spec.outputs[0].width == 3
    assert student.describe(spec) == "convolution 16x2 e8"


@pytest.mark.parametrize("widths", [[3, 4], [], [-1]])
def test_widths_are_odd(widths):
    with pytest.raises(MillisError) as error:
        ConvolutionStudent(widths=widths)
    assert str(error.value) == (
        f"student.widths={widths} must be odd and at least 1, for a window is centred on a token: use for "
        "example [1, 3, 5]"
    )
