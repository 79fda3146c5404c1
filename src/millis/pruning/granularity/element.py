"""Granularity of single weights: the best quality at a sparsity, and no speed without a sparse format."""

from dataclasses import dataclass
from typing import Any, ClassVar

from millis.pruning.granularity import Granularity
from millis.pruning.granularity.weights import matrices, tiled
from millis.pruning.group import Group
from millis.pruning.targets import Targets


@dataclass(frozen=True)
class Element(Granularity):
    """Every weight by itself.

    Args:
        embeddings: Prune the embedding tables as well. Most of their rows are rarely read and hardly trained, so their
            scores say little.
    """

    structural: ClassVar[bool] = False

    embeddings: bool = False

    def groups(self, model: Any, targets: Targets) -> list[Group]:
        """A group for each linear layer, of [out, in] units."""
        found = matrices(model, targets, self.embeddings)
        return [tiled(name, module, 1, 1) for name, module in found.items()]
