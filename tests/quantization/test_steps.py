"""From ranges to steps, and steps that learn."""

import math

import pytest
import torch

from millis.quantization.fake_quantize import INT4, INT8_NARROW, UINT8
from millis.quantization.observers import full_extent
from millis.quantization.steps import RATE, LearnedSteps, RangeSteps, affine, extreme, symmetric

GROUPS = torch.tensor([[-4.0, 2.0, 1.0], [0.5, 3.5, -1.0], [0.0, 0.0, 0.0]])


@pytest.mark.parametrize(
    ("rule", "grid", "scales", "zero_points"),
    [
        (symmetric, INT8_NARROW, [4 / 127, 3.5 / 127, 1], [0, 0, 0]),
        (extreme, INT4, [0.5, -3.5 / 8, 1], [0, 0, 0]),  # -4 / -8; 3.5 / -8: the sign turns the longer side
        (affine, UINT8, [6 / 255, 4.5 / 255, 1], [170, 57, 0]),  # 4 / (6 / 255); 1 / (4.5 / 255) = 56.7
    ],
)
def test_rules(rule, grid, scales, zero_points):
    scale, zero_point = rule(*full_extent(GROUPS), grid)
    assert scale.flatten().tolist() == pytest.approx(scales)
    assert zero_point.flatten().tolist() == zero_points


def test_the_value_of_largest_magnitude_is_exact_on_either_side():
    steps = RangeSteps(extreme, full_extent, INT4, covers=True)
    rounded = steps.round(GROUPS, *steps.of(GROUPS))
    assert rounded[0, 0] == -4
    assert rounded[1, 1] == 3.5


def learned(**changes):
    settings = {"rule": symmetric, "extent": full_extent, "grid": INT4, "groups": 3, "sharing": 3} | changes
    steps = LearnedSteps(**settings)
    steps.start(GROUPS)
    return steps


def test_learned_steps_start_from_the_range_and_grow_exponentially():
    steps = learned()
    assert steps.of(GROUPS)[0].flatten().tolist() == pytest.approx([4 / 7, 3.5 / 7, 1])
    with torch.no_grad():
        steps.growth[0] = math.log(2) / RATE
    assert steps.of(GROUPS)[0][0].item() == pytest.approx(8 / 7)


def test_their_gradient_is_scaled_by_how_many_share_a_step():
    assert learned().gradient_scale == pytest.approx(1 / math.sqrt(3 * 7))
    assert learned(grid=UINT8, sharing=384).gradient_scale == pytest.approx(1 / math.sqrt(384 * 255))


def test_the_growths_gradient_follows_from_the_steps():
    # ds / d growth = RATE · s. Group 1: s = 0.5, v = 1, 7, -2 on -8..7: 0 inside, 7 at the end.
    steps = learned()
    values = GROUPS.clone().requires_grad_(True)
    steps.round(values, *steps.of(values)).sum().backward()
    assert steps.growth.grad[1].item() == pytest.approx(7 * steps.gradient_scale * RATE * 0.5)
    assert values.grad[1].tolist() == [1, 0, 1]


def test_frozen_steps_have_no_gradient():
    steps = learned()
    steps.frozen = True
    values = GROUPS.clone().requires_grad_(True)
    steps.round(values, *steps.of(values)).sum().backward()
    assert steps.growth.grad is None
    assert values.grad is not None
