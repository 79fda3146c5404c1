"""Hidden-state losses on two tokens by hand; nothing to learn from oneself."""

import math

import pytest
import torch

from millis.distillation.embedding import Embedding
from millis.distillation.hidden import Hidden, cosine, mse
from millis.errors import MillisError
from millis.models.features import Feature

# One text: two tokens of two channels, and padding that must not count.
STUDENT = torch.tensor([[[1.0, 0.0], [0.0, 2.0], [9.0, 9.0]]])
TEACHER = torch.tensor([[[1.0, 1.0], [3.0, 2.0], [0.0, 0.0]]])
MASK = torch.tensor([[1, 1, 0]])


def test_mse_by_hand():
    # Token 1: (0² + 1²) / 2; token 2: (3² + 0²) / 2; their mean is (0.5 + 4.5) / 2.
    assert mse(STUDENT, TEACHER, MASK).item() == 2.5


def test_cosine_by_hand():
    # Token 1: cos 45° = √½; token 2: (0·3 + 2·2) / (2 · √13) = 2 / √13.
    expected = ((1 - math.sqrt(0.5)) + (1 - 2 / math.sqrt(13))) / 2
    assert cosine(STUDENT, TEACHER, MASK).item() == pytest.approx(expected, abs=1e-6)


def test_layers_are_added(pair, encoder, batch_of):
    both = pair(encoder(layers=2, seed=1), encoder(layers=4))
    loss = Hidden(1.0, "mse", "uniform").bind(both)
    outputs, batch = batch_of(both, loss)
    assert loss.student_features == {Feature("hidden", 0), Feature("hidden", 1)}
    assert loss.teacher_features == {Feature("hidden", 1), Feature("hidden", 3)}
    expected = sum(
        mse(batch[f"student/hidden/{ours}"], batch[f"teacher/hidden/{theirs}"], batch["attention_mask"])
        for ours, theirs in ((0, 1), (1, 3))
    )
    assert loss(outputs, batch).item() == pytest.approx(expected.item(), rel=1e-6)


@pytest.mark.parametrize("term", [Hidden(1.0, "mse", "uniform"), Hidden(1.0, "cosine", "first"), Embedding(1.0)])
@pytest.mark.parametrize("model_type", ["bert", "roberta", "electra", "distilbert", "gpt2"])
def test_a_student_that_is_its_teacher_has_nothing_to_learn(pair, encoder, batch_of, term, model_type):
    both = pair(encoder(model_type), encoder(model_type))
    loss = term.bind(both)
    assert loss(*batch_of(both, loss)).item() == pytest.approx(0, abs=1e-6)


@pytest.mark.parametrize("term", [Hidden(1.0, "mse", "uniform"), Hidden(1.0, "cosine", "uniform"), Embedding(1.0)])
def test_a_narrower_student_learns_through_a_projection(pair, encoder, batch_of, term):
    both = pair(encoder(layers=2, hidden=8, heads=2, seed=1), encoder())
    loss = term.bind(both)
    assert [tuple(parameter.shape) for parameter in loss.parameters()] == [(16, 8)]  # one for all layers
    found = loss(*batch_of(both, loss))
    found.backward()
    assert found > 0
    assert loss.projection.weight.grad.abs().sum() > 0
    assert both.student.encoder.embeddings.word_embeddings.weight.grad.abs().sum() > 0
    assert all(parameter.grad is None for parameter in both.teacher.parameters())


def test_the_loss_falls_when_it_is_followed(pair, encoder, batch_of):
    both = pair(encoder(layers=2, hidden=8, heads=2, seed=1), encoder())
    loss = Hidden(1.0, "mse", "uniform").bind(both)
    optimizer = torch.optim.Adam([*both.student.parameters(), *loss.parameters()], lr=0.01)
    losses = []
    for _ in range(30):
        optimizer.zero_grad()
        found = loss(*batch_of(both, loss))
        found.backward()
        optimizer.step()
        losses.append(found.item())
    assert losses[-1] < losses[0] / 2


def test_padding_changes_nothing(pair, encoder, batch_of):
    both = pair(encoder(layers=2, seed=1), encoder())
    loss = Hidden(1.0, "mse", "uniform").bind(both)
    alone, among = batch_of(both, loss, [3]), batch_of(both, loss, [3, 2])  # 2 tokens; 2 and 7
    outputs, batch = among
    two = {name: value[:1] for name, value in batch.items()}
    assert batch["attention_mask"].shape == (2, 7)
    assert loss([outputs[0][:1]], two).item() == pytest.approx(loss(*alone).item(), rel=1e-4)


@pytest.mark.parametrize(
    ("setting", "message"),
    [
        ({"loss": "l1"}, "distillation: loss='l1' is unknown; expected one of mse, cosine"),
        ({"layers": "lats"}, "did you mean 'last'?"),
        ({"weight": -1}, "distillation: weight=-1 of a term: expected a number from 0 up"),
    ],
)
def test_settings_without_sense(setting, message):
    with pytest.raises(MillisError) as error:
        Hidden(**{"weight": 1.0, "loss": "mse", "layers": "uniform", **setting})
    assert message in str(error.value)
    with pytest.raises(MillisError, match="expected a number"):
        Embedding(-1.0)
