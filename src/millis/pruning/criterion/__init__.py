"""Criterion: how much a unit is worth. One file each; the contract."""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn

from millis.pruning.group import Group


class Criterion(nn.Module, ABC):
    """Scores the units of groups; the highest stay.

    A criterion is part of the model while that is pruned, so what it has seen is kept as buffers and what it learns as
    parameters: checkpoints carry both, and training trains the parameters, at the rate `own_lr`, without decay.

    Members:
        observes: Whether scores come from training steps, so that nothing can be scored before the first.
        additive: Whether a unit's score is the sum of what its weights are worth; units of different sizes are then
            ranked by the score of a weight, otherwise by the score.
    """

    observes: bool = False
    additive: bool = True

    def prepare(self, model: nn.Module, groups: Sequence[Group]) -> None:
        """Make buffers, parameters and hooks for the units of `groups`, once, before training."""
        self.groups = list(groups)

    @abstractmethod
    def scores(self, index: int) -> Tensor:
        """What each unit of group `index` is worth, of the group's shape."""

    def gate(self, index: int, mask: Tensor) -> Tensor:
        """What the units of group `index` are multiplied by in a training step, of the group's shape.

        Args:
            mask: What they are multiplied by in evaluation; 0 where a unit is pruned.
        """
        return mask

    def kept(self, index: int) -> Tensor | float:
        """What the units of group `index` that stay are multiplied by in evaluation and for good; 1 for hidden channels
        and layers, whatever this says."""
        return 1.0

    def pressure(self, sparsity: float) -> Tensor | None:
        """A term to be added to the loss, where the criterion learns.

        Args:
            sparsity: The share of weights that the schedule wants gone by now.
        """
        return None

    def update(self, loss_scale: float) -> None:
        """Take in a backward pass.

        Args:
            loss_scale: What the loss was multiplied by (fp16); gradients are to be divided by it.
        """

    def release(self) -> None:
        """Remove hooks and forget what belongs to a step: the masks are final, or the criterion is taken off."""


class Numbered(nn.Module):
    """One tensor for each group: buffers or parameters `0`, `1`, … in a state dict."""

    def __init__(self, tensors: Sequence[Tensor], trained: bool = False) -> None:
        super().__init__()
        for index, tensor in enumerate(tensors):
            value: Any = nn.Parameter(tensor) if trained else nn.Buffer(tensor)
            setattr(self, str(index), value)

    def __getitem__(self, index: int) -> Tensor:
        value: Tensor = getattr(self, str(index))
        return value


def zeros(groups: Sequence[Group]) -> list[Tensor]:
    """A zero for each unit of each group, where its weights are."""
    return [torch.zeros(group.shape, device=group.scored[0].parameter.device) for group in groups]
