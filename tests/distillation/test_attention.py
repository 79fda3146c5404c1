"""Attention losses on two tokens by hand, against loops over heads and tokens, and the texts of what cannot be."""

import math

import numpy as np
import pytest
import torch

from millis.distillation.attention import Attention, attention_kl, score_mse
from millis.errors import MillisError
from millis.models.features import Feature

LN3 = math.log(3)
MASK = torch.tensor([[1, 1, 0]])
# Scores of one head over two tokens and padding. softmax(ln 3, 0) = (3/4, 1/4); softmax(0, 0) = (1/2, 1/2).
TEACHER = torch.tensor([[[[LN3, 0.0, 40.0], [0.0, 0.0, 40.0], [7.0, 7.0, 7.0]]]])
STUDENT = torch.tensor([[[[0.0, 0.0, -3.0], [0.0, 0.0, 9.0], [1.0, 2.0, 3.0]]]])


def test_kl_by_hand():
    # Token 1: 3/4 ln((3/4)/(1/2)) + 1/4 ln((1/4)/(1/2)) = 3/4 ln 3 - ln 2; token 2 agrees; padding is nobody.
    assert attention_kl(STUDENT, TEACHER, MASK, mean=False).item() == pytest.approx(
        (0.75 * LN3 - math.log(2)) / 2, abs=1e-6
    )


def test_the_teacher_stands_first():
    # Turned around: 1/2 ln((1/2)/(3/4)) + 1/2 ln((1/2)/(1/4)) = ln 2 - 1/2 ln 3.
    assert attention_kl(TEACHER, STUDENT, MASK, mean=False).item() == pytest.approx(
        (math.log(2) - LN3 / 2) / 2, abs=1e-6
    )


def test_score_mse_by_hand():
    # Four pairs of tokens, one of which differs, by ln 3.
    assert score_mse(STUDENT, TEACHER, MASK, mean=False).item() == pytest.approx(LN3**2 / 4, abs=1e-6)


def test_heads_can_be_averaged_first():
    # Two heads, (3/4, 1/4) and (1/4, 3/4), look like one that looks everywhere.
    two = torch.tensor([[[[LN3, 0.0], [LN3, 0.0]], [[0.0, LN3], [0.0, LN3]]]])
    one = torch.zeros(1, 1, 2, 2)
    mask = torch.ones(1, 2)
    assert attention_kl(one, two, mask, mean=True).item() == pytest.approx(0, abs=1e-6)
    assert attention_kl(two, one, mask, mean=True).item() == pytest.approx(0, abs=1e-6)
    # Scores average to ln 3 / 2 everywhere, 0 on the other side.
    assert score_mse(one, two, mask, mean=True).item() == pytest.approx((LN3 / 2) ** 2, abs=1e-6)


def test_kl_against_a_loop():
    generator = torch.Generator().manual_seed(0)
    student, teacher = torch.randn(2, 3, 2, 5, 5, generator=generator) * 2
    mask = torch.tensor([[1, 1, 1, 1, 1], [1, 1, 1, 0, 0], [1, 0, 0, 0, 0]])
    rows = []
    for text, length in enumerate((5, 3, 1)):
        for head in range(2):
            for token in range(length):
                p, q = (np.exp(array[text, head, token, :length].double().numpy()) for array in (teacher, student))
                p, q = p / p.sum(), q / q.sum()
                rows.append((p * np.log(p / q)).sum())
    assert len(rows) == 2 * 9
    assert attention_kl(student, teacher, mask, mean=False).item() == pytest.approx(np.mean(rows), rel=1e-5)


def test_gradients_are_finite_and_none_reaches_padding():
    student = STUDENT.clone().requires_grad_()
    attention_kl(student, TEACHER, MASK, mean=False).backward()
    assert torch.isfinite(student.grad).all()
    # One of two tokens: (q - p) / 2 = (1/2 - 3/4) / 2 at the first key.
    assert student.grad[0, 0, 0].tolist() == pytest.approx([-0.125, 0.125, 0.0])
    assert not student.grad[0, 0, 2].any()


@pytest.mark.parametrize("loss", ["mse", "kl"])
@pytest.mark.parametrize("heads", ["each", "mean"])
def test_a_student_that_is_its_teacher_has_nothing_to_learn(pair, batch_of, loss, heads):
    both = pair()
    bound = Attention(1.0, loss, heads, "uniform").bind(both)
    assert bound.student_features == {Feature(kind, layer) for kind in ("query", "key") for layer in range(4)}
    assert bound(*batch_of(both, bound)).item() == pytest.approx(0, abs=1e-6)


@pytest.mark.parametrize("loss", ["mse", "kl"])
def test_fewer_heads_learn_from_the_mean(pair, encoder, batch_of, loss):
    both = pair(encoder(layers=2, heads=[3, 1], seed=1), encoder())
    bound = Attention(1.0, loss, "mean", "uniform").bind(both)
    found = bound(*batch_of(both, bound))
    found.backward()
    assert found > 0
    gradients = [layer.attention.self.query.weight.grad for layer in both.student.encoder.encoder.layer]
    assert all(gradient.abs().sum() > 0 for gradient in gradients)


@pytest.mark.parametrize(
    ("heads", "ours", "message"),
    [
        (
            "each", [4, 3],
            "student layer 1 has 3 attention heads and teacher layer 3 has 4, so head cannot be compared with head. "
            "Choose heads=mean, or distillation=minilmv2, whose relation heads are free of both",
        ),
        (
            "mean", [0, 4],
            "student layer 0 has 0 attention heads and teacher layer 1 has 4: there is no attention to compare. Name "
            "other layers, or drop the term",
        ),
    ],
)  # fmt: skip
def test_heads_that_do_not_fit(pair, encoder, heads, ours, message):
    with pytest.raises(MillisError) as error:
        Attention(1.0, "kl", heads, "uniform").bind(pair(encoder(layers=2, heads=ours), encoder()))
    assert str(error.value) == message


def test_settings_without_sense(pair, encoder):
    with pytest.raises(MillisError, match="heads='all' is unknown; expected one of each, mean"):
        Attention(1.0, "kl", "all", "uniform")
    with pytest.raises(MillisError, match="loss='cosine' is unknown; expected one of mse, kl"):
        Attention(1.0, "cosine", "each", "uniform")
    with pytest.raises(MillisError, match="comparing attention over whole texts would teach nothing there"):
        Attention(1.0, "kl", "each", "uniform").bind(pair(encoder("gpt2"), encoder("gpt2")))
