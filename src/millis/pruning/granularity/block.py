"""Granularity of blocks: tiles of a matrix, which block-sparse storage and kernels keep or skip whole."""

from dataclasses import dataclass
from typing import Any, ClassVar

from millis.errors import MillisError
from millis.pruning.granularity import Granularity
from millis.pruning.granularity.weights import matrices, tiled
from millis.pruning.group import Group
from millis.pruning.targets import Targets


@dataclass(frozen=True)
class Block(Granularity):
    """Tiles of `rows` outputs x `columns` inputs (Lagunas et al. 2021, 2109.04838, prune 32 x 32).

    Args:
        rows, columns: At least 1; they divide every pruned matrix.
        embeddings: Prune the embedding tables as well.
    """

    structural: ClassVar[bool] = False

    rows: int = 32
    columns: int = 32
    embeddings: bool = False

    def __post_init__(self) -> None:
        if self.rows < 1 or self.columns < 1:
            raise MillisError(
                f"pruning.granularity.rows={self.rows}, columns={self.columns}: expected at least 1 of each"
            )

    def groups(self, model: Any, targets: Targets) -> list[Group]:
        """A group for each linear layer, of [out / rows, in / columns] units."""
        found = matrices(model, targets, self.embeddings)
        for name, module in found.items():
            outputs, inputs = module.get_parameter("weight").shape
            if outputs % self.rows or inputs % self.columns:
                raise MillisError(
                    f"blocks of {self.rows}x{self.columns} do not divide {name!r} of {outputs}x{inputs}. Choose "
                    "pruning.granularity.rows and columns that do, or leave that layer out with pruning.targets"
                )
        return [tiled(name, module, self.rows, self.columns) for name, module in found.items()]
