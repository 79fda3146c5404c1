"""Granularity of layers: whole blocks, skipped. What is left is a shallower model, the surest way to be faster."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

from torch import Tensor

from millis.pruning import allocation as allocations
from millis.pruning.granularity import Granularity, parts
from millis.pruning.group import LAYERS, Group
from millis.pruning.sites import BlockSite
from millis.pruning.targets import Targets, selected
from millis.pruning.tiles import Tiles
from millis.traits import CUTS_HEADS, CUTS_LAYERS, Traits


@dataclass(frozen=True)
class Layer(Granularity):
    """Blocks. A skipped block hands on its input; `targets` selects the blocks that may go."""

    structural: ClassVar[bool] = True
    traits: ClassVar[Traits] = (CUTS_LAYERS, CUTS_HEADS)

    def groups(self, model: Any, targets: Targets) -> list[Group]:
        """A group of one unit for each block that is selected, under the block's name."""
        found = {}
        for index, layer in enumerate(parts.blocks(model, LAYERS)):
            name = parts.block_of(model, layer)
            linears = [getattr(layer, role) for role in parts.LINEARS]
            whole = tuple(Tiles(each, "weight", *each.weight.shape) for each in linears if each.weight.numel())
            found[name] = Group(name, LAYERS, (1,), (BlockSite(model.get_submodule(name)),), whole, layer=index)
        return [found[name] for name in selected(targets, list(found))]

    def keep(self, groups: Sequence[Group], scores: Sequence[Tensor], sparsity: float, allocation: str) -> list[Tensor]:
        """The blocks of the highest scores, global whatever `allocation` says: a share of one block is nothing."""
        return allocations.keep(groups, scores, sparsity, "global")
