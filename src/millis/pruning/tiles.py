"""Tiles: one tensor seen as [outputs, inputs] and cut into equal tiles, one for each prunable unit.

Every granularity is a tiling. A weight of [O, I] has tiles of

    1 x 1      single weights                r x c      blocks
    h x I      heads, as rows of q, k, v     O x h      heads, as columns of the attention output
    1 x I      neurons, as rows of ffn_in    O x 1      neurons, as columns of ffn_out
    O x I      a matrix that goes as a whole
"""

from dataclasses import dataclass
from typing import Any

from torch import Tensor, nn


@dataclass(frozen=True, eq=False)
class Tiles:
    """A parameter and the size of its tiles.

    Args:
        module: Whose parameter it is.
        name: `weight` or `bias`. A vector of n is seen as [n, 1].
        rows, columns: Of a tile; they divide the parameter's shape.
    """

    module: nn.Module
    name: str
    rows: int
    columns: int

    @property
    def parameter(self) -> nn.Parameter:
        """The trained tensor, as it is stored; behind a parametrization, the original."""
        lists: Any = getattr(self.module, "parametrizations", {})
        found = lists[self.name].original if self.name in lists else getattr(self.module, self.name)
        assert isinstance(found, nn.Parameter)
        return found

    @property
    def values(self) -> Tensor:
        """A view of the trained tensor as [outputs, inputs], without gradients."""
        values = self.parameter.detach()
        return values.unsqueeze(1) if values.ndim == 1 else values

    @property
    def size(self) -> int:
        """Weights in a tile."""
        return self.rows * self.columns

    @property
    def grid(self) -> tuple[int, int]:
        """Tiles along outputs and inputs."""
        outputs, inputs = self.values.shape
        return outputs // self.rows, inputs // self.columns

    def sums(self, values: Tensor) -> Tensor:
        """Sum over each tile: [outputs, inputs] → `grid`."""
        down, across = self.grid
        return values.reshape(down, self.rows, across, self.columns).sum((1, 3))

    def spread(self, units: Tensor) -> Tensor:
        """One value for each unit (any shape, row by row) → what the stored tensor is multiplied by.

        An axis that one tile spans stays 1 wide and is broadcast.
        """
        down, across = self.grid
        grid = units.reshape(down, across)
        if self.rows > 1 and down > 1:
            grid = grid.repeat_interleave(self.rows, 0)
        if self.columns > 1 and across > 1:
            grid = grid.repeat_interleave(self.columns, 1)
        return grid.reshape(-1) if self.parameter.ndim == 1 else grid
