"""Softened KL by hand, and the two limits of Hinton et al. 2015 (1503.02531)."""

import math
from pathlib import Path

import pytest
import torch
import yaml
from hypothesis import given
from hypothesis import strategies as st

from millis.distillation.logit_distillation import LOSSES
from millis.distillation.logits import (
    jensen_shannon,
    logit_mse,
    reverse_kl,
    skewed_kl,
    skewed_reverse_kl,
    softened_kl,
)

# p = softmax(ln 3, 0) = (3/4, 1/4) for the teacher, q = softmax(0, 0) = (1/2, 1/2) for the student:
# KL(p ‖ q) = 3/4 ln((3/4) / (1/2)) + 1/4 ln((1/4) / (1/2)) = 3/4 ln 3 - ln 2 = 0.1308
BY_HAND = 0.75 * math.log(3) - math.log(2)
TEACHER, STUDENT = torch.tensor([[math.log(3), 0.0]]), torch.zeros(1, 2)


def test_every_loss_is_an_option_and_has_a_config():
    assert set(LOSSES) == {
        "softened_kl", "reverse_kl", "jensen_shannon", "skewed_kl", "skewed_reverse_kl", "logit_mse"
    }  # fmt: skip
    files = (Path(__file__).parents[2] / "conf" / "distillation").glob("*.yaml")
    assert set(LOSSES) <= {yaml.safe_load(path.read_text()).get("logit_loss") for path in files}


def test_by_hand():
    assert softened_kl(STUDENT, TEACHER, 1.0).item() == pytest.approx(BY_HAND, abs=1e-6)


def test_the_teacher_stands_first():
    # KL(q ‖ p) = 1/2 ln((1/2) / (3/4)) + 1/2 ln((1/2) / (1/4)) = ln 2 - 1/2 ln 3 = 0.1438
    assert softened_kl(TEACHER, STUDENT, 1.0).item() == pytest.approx(math.log(2) - math.log(3) / 2, abs=1e-6)


def test_temperature_divides_the_logits_and_its_square_multiplies():
    # Logits twice as large at T = 2 are the same two distributions; T² = 4.
    assert softened_kl(2 * STUDENT, 2 * TEACHER, 2.0).item() == pytest.approx(4 * BY_HAND, abs=1e-6)


def test_the_mean_is_over_the_batch():
    student, teacher = torch.zeros(3, 2), torch.cat([TEACHER, STUDENT, STUDENT])
    assert softened_kl(student, teacher, 1.0).item() == pytest.approx(BY_HAND / 3, abs=1e-6)


LOGITS = st.lists(st.lists(st.floats(-8, 8, width=32), min_size=3, max_size=3), min_size=1, max_size=4).map(
    torch.tensor
)


@given(LOGITS, st.floats(0.5, 8), st.floats(-5, 5))
def test_equal_distributions_cost_nothing(logits, temperature, shift):
    assert softened_kl(logits + shift, logits, temperature).item() == pytest.approx(0, abs=1e-4)


@given(LOGITS, st.floats(0.5, 8))
def test_never_negative_and_equal_to_the_definition(student, temperature):
    teacher = student.flip(-1) + torch.arange(3.0)
    p, q = (torch.softmax(logits.double() / temperature, -1) for logits in (teacher, student))
    expected = temperature**2 * (p * (p / q).log()).sum(-1).mean()
    found = softened_kl(student.double(), teacher.double(), temperature)
    assert found.item() == pytest.approx(expected.item(), rel=1e-6, abs=1e-9)
    assert found >= -1e-12


def test_hot_limit_is_matching_logits():
    # Equation 4: for T far above the logits, and logits of mean zero, dC/dz = (z - v) / (C T²) a row; T² cancels it.
    generator = torch.Generator().manual_seed(0)
    student, teacher = (torch.randn(5, 4, generator=generator, dtype=torch.float64) for _ in range(2))
    student, teacher = student - student.mean(-1, keepdim=True), teacher - teacher.mean(-1, keepdim=True)
    student.requires_grad_()
    softened_kl(student, teacher, 1e5).backward()
    torch.testing.assert_close(student.grad, (student.detach() - teacher) / (4 * 5), rtol=1e-3, atol=1e-6)


def test_the_gradient_at_temperature_one_is_the_difference_of_probabilities():
    student = STUDENT.clone().requires_grad_()
    softened_kl(student, TEACHER, 1.0).backward()
    assert student.grad.tolist() == [pytest.approx([0.5 - 0.75, 0.5 - 0.25])]


# The other divergences.


def test_reverse_kl_by_hand():
    # KL(q ‖ p), the student's q first: ln 2 - 1/2 ln 3; T = 2 with logits twice as large, times 4.
    assert reverse_kl(STUDENT, TEACHER, 1.0).item() == pytest.approx(math.log(2) - math.log(3) / 2, abs=1e-6)
    assert reverse_kl(2 * STUDENT, 2 * TEACHER, 2.0).item() == pytest.approx(
        4 * (math.log(2) - math.log(3) / 2), abs=1e-6
    )


def test_jensen_shannon_by_hand():
    # p = (3/4, 1/4), q = (1/2, 1/2), m = (5/8, 3/8):
    # KL(p ‖ m) = 3/4 ln(6/5) + 1/4 ln(2/3), KL(q ‖ m) = 1/2 ln(4/5) + 1/2 ln(4/3), and half of their sum.
    p = 0.75 * math.log(6 / 5) + 0.25 * math.log(2 / 3)
    q = 0.5 * math.log(4 / 5) + 0.5 * math.log(4 / 3)
    assert jensen_shannon(STUDENT, TEACHER, 1.0).item() == pytest.approx((p + q) / 2, abs=1e-6)
    assert jensen_shannon(2 * STUDENT, 2 * TEACHER, 2.0).item() == pytest.approx(4 * (p + q) / 2, abs=1e-6)


def test_logit_mse_by_hand():
    # Differences 1, 2 | 0, 3: (1 + 4 + 0 + 9) / 4, at any temperature.
    student, teacher = torch.tensor([[1.0, 2.0], [3.0, 4.0]]), torch.tensor([[0.0, 0.0], [3.0, 7.0]])
    assert [logit_mse(student, teacher, temperature).item() for temperature in (1.0, 8.0)] == [3.5, 3.5]


@given(LOGITS, st.floats(0.5, 8))
def test_jensen_shannon_is_symmetric_and_bounded(student, temperature):
    teacher = (student.flip(-1) * 3 + torch.arange(3.0)).double()
    found = jensen_shannon(student.double(), teacher, temperature)
    assert found.item() == pytest.approx(jensen_shannon(teacher, student.double(), temperature).item(), abs=1e-9)
    assert -1e-9 <= found <= temperature**2 * math.log(2) + 1e-9


@given(LOGITS, st.floats(0.5, 8))
def test_what_is_equal_costs_nothing(logits, temperature):
    for loss in (reverse_kl, jensen_shannon, logit_mse):
        assert loss(logits, logits, temperature).item() == pytest.approx(0, abs=1e-4)


def test_logits_far_apart_keep_jensen_shannon_finite():
    student = torch.tensor([[80.0, -80.0]], requires_grad=True)
    found = jensen_shannon(student, torch.tensor([[-80.0, 80.0]]), 1.0)
    found.backward()
    assert found.item() == pytest.approx(math.log(2), abs=1e-6)
    assert torch.isfinite(student.grad).all()


def test_skewed_divergences_by_hand():
    # A tenth of p = (3/4, 1/4) and nine of q = (1/2, 1/2) are (0.525, 0.475); the other way round (0.725, 0.275).
    forward = 0.75 * math.log(0.75 / 0.525) + 0.25 * math.log(0.25 / 0.475)
    reverse = 0.5 * math.log(0.5 / 0.725) + 0.5 * math.log(0.5 / 0.275)
    assert skewed_kl(STUDENT, TEACHER, 1.0).item() == pytest.approx(forward, abs=1e-6)
    assert skewed_reverse_kl(STUDENT, TEACHER, 1.0).item() == pytest.approx(reverse, abs=1e-6)
    assert skewed_kl(2 * STUDENT, 2 * TEACHER, 2.0).item() == pytest.approx(4 * forward, abs=1e-6)


def test_a_skewed_divergence_is_bounded_where_the_student_has_no_mass():
    """KL(p ‖ α p + ...) is at most -ln α, and its gradient at most 1 / α of the probability."""
    student = torch.tensor([[90.0, -90.0]], requires_grad=True)
    found = skewed_kl(student, torch.tensor([[-90.0, 90.0]]), 1.0)
    found.backward()
    assert found.item() == pytest.approx(math.log(10), abs=1e-5)
    assert torch.isfinite(student.grad).all()
