"""PKD's loss by hand."""

import math

import pytest
import torch

from millis.distillation.patient import Patient, normalised_mse
from millis.errors import MillisError
from millis.models.features import Feature


def test_by_hand():
    # (3, 4) / 5 = (0.6, 0.8) against (0, 2) / 2 = (0, 1): (0.36 + 0.04) / 2; lengths do not count.
    student, teacher = torch.tensor([[3.0, 4.0]]), torch.tensor([[0.0, 2.0]])
    assert normalised_mse(student, teacher).item() == pytest.approx(0.2, abs=1e-6)
    assert normalised_mse(7 * student, teacher).item() == pytest.approx(0.2, abs=1e-6)


def test_it_is_two_minus_two_cosines_over_the_width():
    student, teacher = torch.randn(2, 5, 8, generator=torch.Generator().manual_seed(0))
    cosines = torch.nn.functional.cosine_similarity(student, teacher)
    assert normalised_mse(student, teacher).item() == pytest.approx((2 * (1 - cosines) / 8).mean().item(), rel=1e-5)


def test_the_mean_is_over_layers_and_the_first_token_alone_counts(pair, encoder, batch_of):
    both = pair(encoder(layers=3, seed=1), encoder(layers=4))
    loss = Patient(1.0, "skip").bind(both)
    assert loss.student_features == {Feature("hidden", 0), Feature("hidden", 1)}
    assert loss.teacher_features == {Feature("hidden", 1), Feature("hidden", 2)}
    outputs, batch = batch_of(both, loss)
    expected = sum(
        normalised_mse(batch[f"student/hidden/{ours}"][:, 0], batch[f"teacher/hidden/{theirs}"][:, 0])
        for ours, theirs in ((0, 1), (1, 2))
    )
    assert loss(outputs, batch).item() == pytest.approx(expected.item() / 2, rel=1e-6)
    for layer in (0, 1):
        batch[f"student/hidden/{layer}"][:, 1:] = math.pi
    assert loss(outputs, batch).item() == pytest.approx(expected.item() / 2, rel=1e-6)


def test_a_student_that_is_its_teacher_has_nothing_to_learn(pair, batch_of):
    both = pair()
    loss = Patient(100.0, "uniform").bind(both)
    assert loss(*batch_of(both, loss)).item() == pytest.approx(0, abs=1e-7)


def test_a_narrower_student_is_projected(pair, encoder, batch_of):
    both = pair(encoder(layers=2, hidden=8, heads=2), encoder())
    loss = Patient(100.0, "skip").bind(both)
    loss(*batch_of(both, loss)).backward()
    assert loss.projection.weight.shape == (16, 8)
    assert loss.projection.weight.grad.abs().sum() > 0


def test_a_causal_models_first_token_knows_nothing(pair, encoder):
    with pytest.raises(MillisError) as error:
        Patient(1.0, "skip").bind(pair(encoder("gpt2"), encoder("gpt2")))
    assert str(error.value) == (
        "the student is a 'gpt2' model, whose tokens see only those before them: the state of the first token would "
        "teach nothing there. Take hidden states or relations instead (distillation=hidden, minilmv2)"
    )
