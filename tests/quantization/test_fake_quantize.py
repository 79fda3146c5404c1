"""Grids worked by hand, gradients of equation 3 of 1902.08153 by hand, and what holds for any numbers."""

import math

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from millis.quantization.fake_quantize import (
    INT4,
    INT8,
    INT8_NARROW,
    INT8_REDUCED,
    UINT8,
    Grid,
    affine_scale,
    centred,
    fake_quantize,
    learned_step,
    round_to_grid,
    symmetric_scale,
)

GRIDS = [UINT8, INT8, INT8_NARROW, INT8_REDUCED, INT4]
ZERO = torch.tensor(0.0)
numbers = st.floats(-100, 100, width=32)
vectors = arrays(np.float32, st.integers(1, 20), elements=numbers)


def test_a_symmetric_step_puts_the_bound_on_the_last_integer():
    scale = symmetric_scale(torch.tensor([254.0, 0.0]), INT8_NARROW)
    assert scale.tolist() == [2.0, 1.0]  # 254 / 127, and 1 where there is nothing to cover


@pytest.mark.parametrize(
    ("low", "high", "scale", "zero_point"),
    [
        (-1.0, 4.1, 0.02, 50),  # 5.1 / 255; 1 / 0.02
        (3.0, 5.1, 0.02, 0),  # 0 belongs to the range: 5.1 / 255
        (-5.1, -3.0, 0.02, 255),
        (0.0, 0.0, 1.0, 0),
        (-0.5, 2.05, 0.01, 50),
    ],
)
def test_an_affine_grid_covers_the_range_and_holds_zero(low, high, scale, zero_point):
    found = affine_scale(torch.tensor(low), torch.tensor(high), UINT8)
    assert found[0].item() == pytest.approx(scale)
    assert found[1].item() == zero_point


def test_rounding_is_to_the_even_neighbour_and_clamped():
    x = torch.tensor([0.5, 1.5, 2.5, -0.5, -1.5, 7.4, 7.6, -8.4, -9.0])
    assert centred(x, torch.tensor(1.0), ZERO, INT4).tolist() == [0, 2, 2, 0, -2, 7, 7, -8, -8]


def test_a_zero_point_shifts_what_is_left_of_the_grid():
    # z = 3 on 0..255 leaves -3..252.
    x = torch.tensor([-2.0, -1.6, 0.3, 126.4])
    assert centred(x, torch.tensor(0.5), torch.tensor(3.0), UINT8).tolist() == [-3, -3, 1, 252]


def test_a_grid_that_covers_passes_every_gradient():
    x = torch.tensor([0.3, -4.0, 4.0], requires_grad=True)
    rounded = round_to_grid(x, torch.tensor(0.5), ZERO, INT4)
    rounded.backward(torch.tensor([1.0, 2.0, 3.0]))
    assert rounded.tolist() == [0.5, -4.0, 3.5]
    assert x.grad.tolist() == [1, 2, 3]


def test_a_grid_that_clips_stops_the_gradients_of_what_it_clips():
    # 3.74 / 0.5 rounds to 7, the last integer; 3.76 / 0.5 to 8, which is clipped.
    x = torch.tensor([0.3, -4.2, -4.3, 3.74, 3.76], requires_grad=True)
    fake_quantize(x, torch.tensor(0.5), ZERO, INT4).sum().backward()
    assert x.grad.tolist() == [1, 1, 0, 1, 0]


def test_a_learned_step_has_the_gradients_of_equations_3_and_5():
    # v = x / s = 0.8, -2.6, 7, 9.5, -8, -10 on -8..7, s = 0.5:
    # round(v) - v = 0.2, -0.4; then v >= 7 gives 7 twice, v <= -8 gives -8 twice.
    x = torch.tensor([0.4, -1.3, 3.5, 4.75, -4.0, -5.0], requires_grad=True)
    step = torch.tensor(0.5, requires_grad=True)
    rounded = learned_step(x, step, ZERO, INT4, gradient_scale=1.0)
    assert rounded.tolist() == [0.5, -1.5, 3.5, 3.5, -4.0, -4.0]
    upstream = torch.tensor([1.0, 10.0, 1.0, 1.0, 1.0, 1.0])
    rounded.backward(upstream)
    assert x.grad.tolist() == [1, 10, 0, 0, 0, 0]
    assert step.grad.item() == pytest.approx(0.2 - 4.0 + 7 + 7 - 8 - 8)


def test_a_steps_gradient_is_scaled_and_summed_over_what_shares_it():
    x = torch.tensor([[0.4, 0.4], [9.0, -1.3]], requires_grad=True)
    step = torch.full((2, 1), 0.5, requires_grad=True)
    learned_step(x, step, torch.zeros(2, 1), INT4, gradient_scale=1 / math.sqrt(2 * 7)).sum().backward()
    assert step.grad.flatten().tolist() == pytest.approx([0.4 / math.sqrt(14), (7 - 0.4) / math.sqrt(14)])


def test_a_learned_steps_gradient_is_that_of_autograd_through_a_straight_through_rounding():
    torch.manual_seed(0)
    x = torch.randn(40, dtype=torch.float64)
    s = torch.tensor(0.11, dtype=torch.float64, requires_grad=True)
    v = (x / s).clamp(-8, 7)
    (v + (v.round() - v).detach()).mul(s).square().sum().backward()
    ours = torch.tensor(0.11, dtype=torch.float64, requires_grad=True)
    learned_step(x, ours, ZERO.double(), INT4, 1.0).square().sum().backward()
    assert ours.grad.item() == pytest.approx(s.grad.item())


def test_rounding_is_fp32_under_autocast():
    x = torch.tensor([0.7001, -0.3003])
    plain = fake_quantize(x, torch.tensor(0.01), ZERO, INT8)
    with torch.autocast("cpu", torch.bfloat16):
        cast = fake_quantize(x, torch.tensor(0.01), ZERO, INT8)
    assert cast.dtype == torch.float32
    assert torch.equal(plain, cast)


@given(vectors, st.floats(2**-10, 8, width=32), st.sampled_from(GRIDS))
def test_rounding_twice_is_rounding_once(values, scale, grid):
    x, s = torch.from_numpy(values), torch.tensor(scale)
    once = fake_quantize(x, s, ZERO, grid)
    assert torch.equal(fake_quantize(once, s, ZERO, grid), once)
    assert torch.equal(round_to_grid(once, s, ZERO, grid), once)


@given(vectors, st.sampled_from(GRIDS))
def test_a_range_that_covers_errs_by_half_a_step(values, grid):
    x = torch.from_numpy(values)
    scale = symmetric_scale(x.abs().max(), Grid(-grid.high, grid.high)) if grid.low < 0 else None
    scale, zero_point = (scale, ZERO) if scale is not None else affine_scale(x.min(), x.max(), grid)
    integers = centred(x, scale, zero_point, grid) + zero_point
    assert grid.low <= integers.min() and integers.max() <= grid.high
    # An affine range's zero point is rounded, which may push one end half a step off the grid.
    allowed = 1.0 if grid.low == 0 else 0.5
    assert ((integers - zero_point) * scale - x).abs().max() <= scale * allowed * (1 + 1e-5)


@given(vectors)
def test_weights_on_their_grid_are_quantized_to_the_same_integers_again(values):
    """What an artifact is written from: the range of baked weights gives the integers that they were baked from."""
    x = torch.from_numpy(values)
    scale = symmetric_scale(x.abs().max(), INT8_NARROW)
    integers = centred(x, scale, ZERO, INT8_NARROW)
    baked = integers * scale
    again = symmetric_scale(baked.abs().max(), INT8_NARROW)
    assert torch.equal(centred(baked, again, ZERO, INT8_NARROW), integers)
    assert abs(again.item() - scale.item()) <= np.spacing(np.float32(scale.item()))  # one unit in the last place
