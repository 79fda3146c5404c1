"""Weights on a grid: which of them share a step, and the module that rounds them."""

from typing import NamedTuple, Protocol

import torch
import torch.nn.functional as F
from torch import Tensor

from millis.quantization.fake_quantize import Grid, centred
from millis.quantization.phase import Phased
from millis.quantization.steps import LearnedSteps, Steps


class Grouping(Protocol):
    """Which values of a weight share a step."""

    @property
    def per_output(self) -> bool:
        """Whether an output channel has one step, which can then multiply its sum of products."""
        ...

    def split(self, weight: Tensor) -> Tensor:
        """The weight as groups [G, n]."""
        ...

    def join(self, groups: Tensor, shape: torch.Size) -> Tensor:
        """Groups back in the weight's shape."""
        ...


class PerTensor:
    """One step for the whole weight, G = 1."""

    per_output = True

    def split(self, weight: Tensor) -> Tensor:
        return weight.reshape(1, -1)

    def join(self, groups: Tensor, shape: torch.Size) -> Tensor:
        return groups.reshape(shape)


class PerRow:
    """One step for each output channel of a weight [out, ...], G = out."""

    per_output = True

    def split(self, weight: Tensor) -> Tensor:
        return weight.flatten(1)

    def join(self, groups: Tensor, shape: torch.Size) -> Tensor:
        return groups.reshape(shape)


class PerBlock(NamedTuple):
    """One step for `size` consecutive inputs of an output channel, G = out · ⌈in / size⌉; zeros fill the last block."""

    size: int

    @property
    def per_output(self) -> bool:
        return False

    def split(self, weight: Tensor) -> Tensor:
        return F.pad(weight, (0, -weight.shape[1] % self.size)).reshape(-1, self.size)

    def join(self, groups: Tensor, shape: torch.Size) -> Tensor:
        return groups.reshape(shape[0], -1)[:, : shape[1]]


class Transposed(NamedTuple):
    """For weights stored as [in, out], as GPT-2's are."""

    grouping: Grouping

    @property
    def per_output(self) -> bool:
        return self.grouping.per_output

    def split(self, weight: Tensor) -> Tensor:
        return self.grouping.split(weight.t())

    def join(self, groups: Tensor, shape: torch.Size) -> Tensor:
        return self.grouping.join(groups, torch.Size(reversed(shape))).t()


class Integers(NamedTuple):
    """A weight as it is deployed: scale · (values - zero_point)."""

    values: Tensor  # int8 or uint8, the weight's shape
    scale: Tensor  # [G], or [] for G = 1
    zero_point: Tensor  # as `scale`, of the values' type

    def floats(self, grouping: Grouping) -> Tensor:
        """The weight they stand for, fp32: each product is rounded once, as `round` does it."""
        groups = grouping.split(self.values.float())
        scale, zero = self.scale.reshape(-1, 1), self.zero_point.reshape(-1, 1).float()
        return grouping.join((groups - zero) * scale, self.values.shape)


def integers_of(values: Tensor, scale: Tensor, zero_point: Tensor, grid: Grid) -> Integers:
    """A weight's values, held in floats, and its steps and zero points [G, 1], as they are kept."""
    kind = torch.int8 if grid.low < 0 else torch.uint8
    shape = torch.Size([len(scale)] if len(scale) > 1 else [])
    return Integers(values.to(kind).contiguous(), scale.reshape(shape), zero_point.reshape(shape).to(kind))


class WeightQuantizer(Phased):
    """A weight in, the weight on its grid out; untouched while not `enabled`.

    Args:
        grouping: Which values share a step.
        steps: How a step is found.
    """

    def __init__(self, grouping: Grouping, steps: Steps) -> None:
        super().__init__()
        self.grouping, self.steps = grouping, steps

    def forward(self, weight: Tensor) -> Tensor:
        """Same shape and type; the arithmetic is fp32."""
        if not self.enabled:
            return weight
        groups = self.grouping.split(weight.float())
        return self.grouping.join(self.steps.round(groups, *self.steps.of(groups)), weight.shape).to(weight.dtype)

    def rows(self, rows: Tensor, table: Tensor, ids: Tensor) -> Tensor:
        """The rows `ids` of a table that has one step, or one a row, rounded as `forward` would round the table."""
        if not self.enabled:
            return rows
        if isinstance(self.grouping, PerRow):
            groups = rows.float().flatten(0, -2)
            scale, zero_point = self.steps.of(groups)
            if isinstance(self.steps, LearnedSteps):  # of every row of the table
                scale, zero_point = scale[ids.flatten()], zero_point[ids.flatten()]
            return self.steps.round(groups, scale, zero_point).view_as(rows).to(rows.dtype)
        scale, zero_point = self.steps.of(self.grouping.split(table.float()))
        return self.steps.round(rows.float(), scale.squeeze(), zero_point.squeeze()).to(rows.dtype)

    @torch.no_grad()
    def factors(self, weight: Tensor) -> tuple[Tensor, Tensor]:
        """The weight on its grid as a product: integers without their zero point, in its shape, and steps [G]."""
        groups = self.grouping.split(weight.float())
        scale, zero_point = self.steps.of(groups)
        return self.grouping.join(centred(groups, scale, zero_point, self.steps.grid), weight.shape), scale.flatten()

    @torch.no_grad()
    def integers(self, weight: Tensor) -> Integers:
        """The integers that `forward` stands on."""
        groups = self.grouping.split(weight.float())
        scale, zero_point = self.steps.of(groups)
        values = centred(groups, scale, zero_point, self.steps.grid) + zero_point
        return integers_of(self.grouping.join(values, weight.shape), scale, zero_point, self.steps.grid)
