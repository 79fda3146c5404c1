"""The gradient of the loss by a unit's gate, ∂L/∂z: what movement, Taylor and Fisher scores are made of.

A unit's weights are multiplied by z, so ∂L/∂z = Σ w · ∂L/∂w' over the weights w' = z w at its gate: for a single weight
w · ∂L/∂w', for a neuron the inner product over ffn_out's column, for a head over its columns of the attention output,
for a block what leaving it out would change. It is there for closed gates too: a weight that is masked gets no
gradient itself, yet ∂L/∂z at z = 0 says what its return would do.
"""

from abc import abstractmethod
from collections.abc import Sequence

import torch
from torch import Tensor, nn

from millis.collective import averaged
from millis.pruning.criterion import Criterion, Numbered, zeros
from millis.pruning.group import Group


class GateGradient(Criterion):
    """Accumulates a function of ∂L/∂z over training steps, as the mean loss over a batch gives it, of all processes."""

    observes = True

    def prepare(self, model: nn.Module, groups: Sequence[Group]) -> None:
        """Start from 0."""
        super().prepare(model, groups)
        self.seen = Numbered(zeros(groups))
        self.leaves: dict[int, Tensor] = {}

    def gate(self, index: int, mask: Tensor) -> Tensor:
        """The mask, as a tensor whose gradient is taken; the same one all through a step."""
        if index not in self.leaves:
            self.leaves[index] = mask.detach().requires_grad_()
        return self.leaves[index]

    def update(self, loss_scale: float) -> None:
        """Accumulate the gradients of this step; those of a step that overflowed in fp16 are passed over."""
        for index, leaf in self.leaves.items():
            if leaf.grad is None:
                continue
            gradient = averaged(leaf.grad)
            if torch.isfinite(gradient.sum()):
                self.accumulate(self.seen[index], gradient / loss_scale)
        self.leaves.clear()

    @abstractmethod
    def accumulate(self, seen: Tensor, gradient: Tensor) -> None:
        """Take `gradient` into `seen`, in place; both of a group's shape."""

    def scores(self, index: int) -> Tensor:
        """What was accumulated."""
        return self.seen[index]

    def release(self) -> None:
        """Forget the step."""
        self.leaves.clear()
