"""Heads and feed-forward neurons in one ranking, so that training decides which of the two a layer needs less.

The two coarser kinds of CoFi (Xia et al. 2022, 2204.00408, section 3.1), whole sublayers and hidden channels, are left
out: a sublayer goes here when its last head or neuron does.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import torch
from torch import Tensor

from millis.pruning import allocation as allocations
from millis.pruning.granularity import Granularity
from millis.pruning.granularity.head import Head
from millis.pruning.granularity.neuron import Neuron
from millis.pruning.group import Group
from millis.pruning.targets import Targets, selected
from millis.traits import CUTS_HEADS, Traits


@dataclass(frozen=True)
class HeadsAndNeurons(Granularity):
    """Attention heads and feed-forward neurons; sparsity counts their weights."""

    structural: ClassVar[bool] = True
    traits: ClassVar[Traits] = (CUTS_HEADS,)

    def groups(self, model: Any, targets: Targets) -> list[Group]:
        """Those of `Head` and of `Neuron`."""
        found = {group.name: group for kind in (Head(), Neuron()) for group in kind.groups(model, None)}
        return [found[name] for name in selected(targets, list(found))]

    def keep(self, groups: Sequence[Group], scores: Sequence[Tensor], sparsity: float, allocation: str) -> list[Tensor]:
        """The units of the highest scores; where kinds compete (`global`), the best of each is among them."""
        raised = [score.clone() for score in scores]
        for kind in {group.kind for group in groups} if allocation == "global" else ():
            of_kind = [score for score, group in zip(raised, groups, strict=True) if group.kind == kind]
            best = max(of_kind, key=lambda score: float(score.max()))
            best[best.argmax()] = torch.inf
        return allocations.keep(groups, raised, sparsity, allocation)
