"""Random: the control that every criterion has to beat (Gale et al. 2019, 1902.09574)."""

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from millis.pruning.criterion import Criterion, Numbered, zeros
from millis.pruning.group import Group


class Random(Criterion):
    """Uniform scores, drawn once, so that a growing sparsity takes more of the same order.

    Args:
        seed: Of the order; its own, so that the same weights go whatever else a run draws.
    """

    additive = False

    def __init__(self, seed: int = 0) -> None:
        super().__init__()
        self.seed = seed

    def prepare(self, model: nn.Module, groups: Sequence[Group]) -> None:
        """Draw."""
        super().prepare(model, groups)
        generator = torch.Generator().manual_seed(self.seed)
        drawn = [torch.rand(zero.shape, generator=generator).to(zero.device) for zero in zeros(groups)]
        self.drawn = Numbered(drawn)

    def scores(self, index: int) -> Tensor:
        """What was drawn, in [0, 1)."""
        return self.drawn[index]
