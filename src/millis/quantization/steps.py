"""Steps: how a group of values gets its grid, anew from its range, or learned.

A step and a zero point belong to a group of values [G, n]; `millis.quantization.weights` groups weights, and an
activation tensor or an embedding table is one group.
"""

from collections.abc import Callable

import torch
from torch import Tensor, nn

from millis.quantization.fake_quantize import (
    TINY,
    Grid,
    affine_scale,
    fake_quantize,
    learned_step,
    round_to_grid,
    symmetric_scale,
)
from millis.quantization.observers import Extent
from millis.quantization.phase import Phased

RATE = 20.0
"""A learned step is origin · exp(RATE · growth). 1902.08153 (section 2.2) wants a step to move, as a share of its size,
as fast as the weights do. Adam moves every parameter by about its learning rate lr; a fine-tuned encoder's weights are
about 0.05 = 1 / 20, so they move by 20 · lr of themselves, and so does the step. Left to Adam as it is, a step of 0.001
would move by 1000 · lr of itself. Weight decay pulls the growth to 0, which is where the step started."""

Rule = Callable[[Tensor, Tensor, Grid], tuple[Tensor, Tensor]]
"""Low and high end of each group's range in, [G, 1]; steps and zero points out, [G, 1]."""


def symmetric(low: Tensor, high: Tensor, grid: Grid) -> tuple[Tensor, Tensor]:
    """s = max(-low, high) / grid.high, z = 0: the weights of matrix products on ONNX Runtime."""
    scale = symmetric_scale(torch.maximum(-low, high), grid)
    return scale, torch.zeros_like(scale)


def extreme(low: Tensor, high: Tensor, grid: Grid) -> tuple[Tensor, Tensor]:
    """s = e / grid.low for the end e of larger magnitude, z = 0: ONNX Runtime's blocks of weights.

    The grid has one integer more below 0 than above; the sign of s turns that side to where e is.
    """
    scale = torch.where(-low > high, low, high) / grid.low
    return torch.where(scale.abs() < TINY, 1.0, scale), torch.zeros_like(scale)


def affine(low: Tensor, high: Tensor, grid: Grid) -> tuple[Tensor, Tensor]:
    """Step and zero point of the range, 0 included, in fp64: stored tables and static activations on ONNX Runtime."""
    return affine_scale(low.double(), high.double(), grid)


class RangeSteps(nn.Module):
    """Steps that follow the values: found anew from each group's extent.

    Args:
        rule: From range to step.
        extent: The range of a group.
        grid: The integers.
        covers: Whether the extent leaves no value out, so that none is clipped.
    """

    def __init__(self, rule: Rule, extent: Extent, grid: Grid, covers: bool) -> None:
        super().__init__()
        self.rule, self.extent, self.grid = rule, extent, grid
        self._onto_grid = round_to_grid if covers else fake_quantize

    @torch.no_grad()
    def of(self, groups: Tensor) -> tuple[Tensor, Tensor]:
        """Steps and zero points [G, 1] of groups [G, n]."""
        return self.rule(*self.extent(groups), self.grid)

    def round(self, values: Tensor, scale: Tensor, zero_point: Tensor) -> Tensor:
        """Values on their grid; gradients reach the values."""
        return self._onto_grid(values, scale, zero_point, self.grid)


class LearnedSteps(Phased):
    """Steps that training finds (Esser et al. 2020, 1902.08153): s = origin · exp(RATE · growth).

    Departures: the origin is the step that covers the range at the start; the paper's 2 · mean|w| / √high is four times
    that at 8 bits for normally distributed weights, and takes long to shrink. The paper learns s itself, by SGD (see
    `RATE`). The zero point, which the paper does not have, stays what the range at the start made it.

    Args:
        rule, extent, grid: As for `RangeSteps`; they serve at the start only.
        groups: G.
        sharing: N, how many values share a step (of activations and tables: those of one position).
    """

    moves = True
    origin: Tensor  # 0 until `start`
    zero_point: Tensor

    def __init__(self, rule: Rule, extent: Extent, grid: Grid, groups: int, sharing: int) -> None:
        super().__init__()
        self.rule, self.extent, self.grid = rule, extent, grid
        self.gradient_scale = (sharing * grid.high) ** -0.5
        self.register_buffer("origin", torch.zeros(groups, 1))
        self.register_buffer("zero_point", torch.zeros(groups, 1))
        self.growth = nn.Parameter(torch.zeros(groups, 1))

    @torch.no_grad()
    def start(self, groups: Tensor) -> None:
        """Begin with the steps that cover `groups` [G, n]."""
        scale, zero_point = self.rule(*self.extent(groups), self.grid)
        self.origin.copy_(scale)
        self.zero_point.copy_(zero_point)

    def of(self, groups: Tensor) -> tuple[Tensor, Tensor]:
        """Steps and zero points [G, 1] as learned so far; `groups` are not read."""
        scale = self.origin * (RATE * self.growth).exp()
        return scale.detach() if self.frozen else scale, self.zero_point

    def round(self, values: Tensor, scale: Tensor, zero_point: Tensor) -> Tensor:
        """Values on their grid; gradients reach values and steps."""
        return learned_step(values, scale, zero_point, self.grid, self.gradient_scale)


Steps = RangeSteps | LearnedSteps
