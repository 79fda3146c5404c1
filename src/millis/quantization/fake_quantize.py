"""Fake quantization: floats put on the grid of integers that will be deployed, with gradients that pass through.

x̂ = s · (clamp(round(x / s) + z, low, high) - z), with step s and zero point z, ties rounded to the even integer.
Division and rounding are those of ONNX's QuantizeLinear, done in fp32 whatever autocast says, so that a simulated value
is the deployed one. Straight-through gradients as in Jacob et al. 2018 (1712.05877), section 3; learned steps, Esser et
al. 2020 (1902.08153).

Steps and zero points broadcast against x; zero points are floats that hold integers.
"""

from typing import Any, NamedTuple

import torch
from torch import Tensor


class Grid(NamedTuple):
    """The integers from `low` to `high`."""

    low: int
    high: int


UINT8 = Grid(0, 255)
INT8 = Grid(-128, 127)
INT8_NARROW = Grid(-127, 127)  # symmetric, as ONNX Runtime's weights are
INT8_REDUCED = Grid(-64, 64)  # 7 bits, for processors whose u8 x s8 products saturate
INT4 = Grid(-8, 7)
TINY = torch.finfo(torch.float32).tiny  # a smaller step is as good as none: ONNX Runtime takes 1 then


def symmetric_scale(bound: Tensor, grid: Grid) -> Tensor:
    """Step that puts ±`bound` on the grid's ends: s = bound / high, in fp64, then fp32; 1 where the bound is 0."""
    scale = (bound.double() / grid.high).float()
    return torch.where(scale < TINY, 1.0, scale)


def affine_scale(low: Tensor, high: Tensor, grid: Grid) -> tuple[Tensor, Tensor]:
    """Step and zero point of the range [min(low, 0), max(high, 0)], in which 0 is always exact.

    s = (high - low) / (grid.high - grid.low); z = round(grid.low - low / s), kept on the grid; s = 1, z = grid.low for
    an empty range. Computed in the precision of `low`: ONNX's DynamicQuantizeLinear does it in fp32, ONNX Runtime's
    quantizer of stored tensors in fp64.
    """
    low, high = low.clamp(max=0.0), high.clamp(min=0.0)
    scale = (high - low) / (grid.high - grid.low)
    scale = torch.where(scale < TINY, 1.0, scale)
    zero_point = (grid.low - low / scale).clamp(grid.low, grid.high).round()
    return scale.float(), zero_point.float()


def centred(x: Tensor, scale: Tensor, zero_point: Tensor, grid: Grid) -> Tensor:
    """clamp(round(x / s), low - z, high - z): the integers without their zero point, held in fp32; shape of `x`."""
    return _clamp_((x / scale).round_(), zero_point, grid)


def round_to_grid(x: Tensor, scale: Tensor, zero_point: Tensor, grid: Grid) -> Tensor:
    """x̂ for a grid that covers all of `x`: the gradient passes unchanged, ∂x̂/∂x = 1.

    Where rounding of the zero point pushes an extreme value half a step off the grid it is clamped all the same.
    """
    rounded: Tensor = _RoundToGrid.apply(x, scale, zero_point, grid)  # type: ignore[no-untyped-call]
    return rounded


def fake_quantize(x: Tensor, scale: Tensor, zero_point: Tensor, grid: Grid) -> Tensor:
    """x̂ for a grid that may clip: ∂x̂/∂x = 1 where low ≤ round(x / s) + z ≤ high, else 0."""
    rounded: Tensor = _FakeQuantize.apply(x, scale, zero_point, grid)  # type: ignore[no-untyped-call]
    return rounded


def learned_step(x: Tensor, step: Tensor, zero_point: Tensor, grid: Grid, gradient_scale: float) -> Tensor:
    """x̂ with gradients for the step as well (1902.08153, equations 3 and 5). With v = x / s, a = low - z, b = high - z:

        ∂x̂/∂s = round(v) - v if a < v < b;  a if v ≤ a;  b if v ≥ b
        ∂x̂/∂x = 1 if a < v < b, else 0

    Args:
        gradient_scale: g that ∂x̂/∂s is multiplied by; the paper's is 1 / √(N · high), for N values that share a step
            (section 2.2): without it a step's gradient, a sum over N values, would drown the weights' own, and with
            them everything when gradients are clipped to a common norm.
    """
    rounded: Tensor = _LearnedStep.apply(x, step, zero_point, grid, gradient_scale)  # type: ignore[no-untyped-call]
    return rounded


def _clamp_(integers: Tensor, zero_point: Tensor, grid: Grid) -> Tensor:
    """Clamp round(x / s) to what z leaves of the grid, in place; `clamp` between tensors takes six times as long."""
    torch.maximum(integers, grid.low - zero_point, out=integers)
    return torch.minimum(integers, grid.high - zero_point, out=integers)


class _RoundToGrid(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, scale: Tensor, zero_point: Tensor, grid: Grid) -> Tensor:
        return centred(x, scale, zero_point, grid).mul_(scale)

    @staticmethod
    def backward(ctx: Any, *gradients: Any) -> tuple[Any, ...]:
        return gradients[0], None, None, None


class _FakeQuantize(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, scale: Tensor, zero_point: Tensor, grid: Grid) -> Tensor:
        integers = (x / scale).round_()
        clamped = _clamp_(integers.clone(), zero_point, grid)
        ctx.save_for_backward(clamped == integers)
        return clamped.mul_(scale)

    @staticmethod
    def backward(ctx: Any, *gradients: Any) -> tuple[Any, ...]:
        (inside,) = ctx.saved_tensors
        return gradients[0] * inside, None, None, None


class _LearnedStep(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, step: Tensor, zero_point: Tensor, grid: Grid, gradient_scale: float) -> Tensor:
        ratio = x / step
        inside = (ratio > grid.low - zero_point) & (ratio < grid.high - zero_point)
        integers = _clamp_(ratio.round(), zero_point, grid)
        slope = integers - ratio.mul_(inside)  # round(v) - v inside, the bound outside
        ctx.save_for_backward(inside, slope)
        ctx.step_shape, ctx.gradient_scale = step.shape, gradient_scale
        return integers.mul_(step)

    @staticmethod
    def backward(ctx: Any, *gradients: Any) -> tuple[Any, ...]:
        inside, slope = ctx.saved_tensors
        step = (gradients[0] * slope).sum_to_size(ctx.step_shape) * ctx.gradient_scale
        return gradients[0] * inside, step, None, None, None
