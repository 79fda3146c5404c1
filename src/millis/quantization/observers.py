"""Observers: the range of values that an integer grid is stretched over.

Two questions, answered apart. The extent of one tensor: its smallest and largest value, or those that are left when the
outermost are dropped (percentile). The range over many batches, for activations whose grid is fixed at deployment: the
widest extent seen, or a moving average of the extents (Jacob et al. 2018, 1712.05877, section 3.1).
"""

import math
from collections.abc import Callable

import torch
from torch import Tensor, nn

from millis.collective import highest, lowest

Extent = Callable[[Tensor], tuple[Tensor, Tensor]]
"""Groups of values [G, n] in, the low and the high end of each group's range out, [G, 1] each."""

SAMPLE = 1 << 18  # values that a percentile is taken of: 262 of them lie beyond the 99.9th, and it costs a millisecond


def full_extent(groups: Tensor) -> tuple[Tensor, Tensor]:
    """Smallest and largest value of each group [G, n], [G, 1] each."""
    return groups.amin(dim=1, keepdim=True), groups.amax(dim=1, keepdim=True)


def percentile_extent(groups: Tensor, percentile: float) -> tuple[Tensor, Tensor]:
    """What is left of each group's range without its k smallest and k largest values, k = ⌊n · (1 - percentile / 100)⌋.

    A group of fewer than 1 / (1 - percentile / 100) values keeps its whole range. Groups of more than `SAMPLE` values
    are judged by an evenly spaced part of them, always the same one.

    Args:
        groups: [G, n].
        percentile: Above 50, up to 100 (the whole range).

    Returns:
        Low and high end, [G, 1] each.
    """
    values = groups[:, :: math.ceil(groups.shape[1] / SAMPLE)]
    dropped = math.floor(values.shape[1] * (1 - percentile / 100) + 1e-9)  # 1000 · (1 - 0.999) is a hair below 1
    if dropped == 0:
        return full_extent(groups)
    high = values.topk(dropped + 1, dim=1).values[:, -1:]
    low = values.topk(dropped + 1, dim=1, largest=False).values[:, -1:]
    return low, high


Merge = Callable[[Tensor, Tensor], Tensor]
"""The range kept so far and the one just seen, [2] each (low, high), in; the range to keep out."""


def widest(kept: Tensor, seen: Tensor) -> Tensor:
    """The lower low and the higher high: one outlier stays for good."""
    return torch.stack([torch.minimum(kept[0], seen[0]), torch.maximum(kept[1], seen[1])])


def moving_average(kept: Tensor, seen: Tensor, momentum: float) -> Tensor:
    """m · kept + (1 - m) · seen, about the last 1 / (1 - m) batches."""
    return momentum * kept + (1 - momentum) * seen


class Observer(nn.Module):
    """The range of a tensor over batches; the first batch's is taken as it is.

    Args:
        extent: Of one batch.
        merge: `widest`, or `moving_average` with its momentum.
    """

    range: Tensor  # [2], low and high
    batches: Tensor  # observed so far

    def __init__(self, extent: Extent, merge: Merge) -> None:
        super().__init__()
        self.extent, self.merge = extent, merge
        self.register_buffer("range", torch.zeros(2))
        self.register_buffer("batches", torch.zeros((), dtype=torch.int64))

    @torch.no_grad()
    def observe(self, values: Tensor) -> None:
        """Take in the values of one batch, of any shape; of several processes, the widest of their extents."""
        low, high = self.extent(values.reshape(1, -1))
        seen = torch.cat([lowest(low.flatten()), highest(high.flatten())])
        self.range.copy_(torch.where(self.batches > 0, self.merge(self.range, seen), seen))
        self.batches += 1
