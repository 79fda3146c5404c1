"""Soft movement: scores are trained beside the weights, and a penalty draws them below the threshold (2005.07683).

Sanh et al. 2020, section 4 and table 1: the mask is 1 where σ(S) > τ, its gradient goes straight through to S, so that
∂L/∂S = w · ∂L/∂w', and λ times the mean of σ(S) is added to the loss. The paper fixes τ and searches the λ that ends at
the wanted sparsity; here the sparsity is asked for, and every update sets τ so that just that share is below it.
"""

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from millis.errors import MillisError
from millis.pruning.criterion import Criterion, Numbered, zeros
from millis.pruning.group import Group


class SoftMovement(Criterion):
    """Trained scores S, of which the highest stay.

    Args:
        lr: Peak rate of the scores: larger than the weights', for S has to travel further than they do.
        penalty: λ at full sparsity; it grows with the schedule's, as the paper's does.
    """

    observes = True
    additive = False

    def __init__(self, lr: float = 0.01, penalty: float = 100.0) -> None:
        super().__init__()
        if lr <= 0 or penalty < 0:
            raise MillisError(
                f"pruning.criterion.lr={lr}, penalty={penalty}: expected a rate above 0, a penalty from 0"
            )
        self.lr = self.own_lr = lr
        self.penalty = penalty

    def prepare(self, model: nn.Module, groups: Sequence[Group]) -> None:
        """S = 0, as in the paper: σ = ½."""
        super().prepare(model, groups)
        self.trained = Numbered(zeros(groups), trained=True)

    def gate(self, index: int, mask: Tensor) -> Tensor:
        """The mask, whose gradient is that of S."""
        scores = self.trained[index]
        return mask + (scores - scores.detach())

    def scores(self, index: int) -> Tensor:
        """S; σ keeps its order."""
        return self.trained[index].detach()

    def pressure(self, sparsity: float) -> Tensor:
        """λ · sparsity · mean σ(S) over all units."""
        all_scores = torch.cat([self.trained[index].flatten() for index in range(len(self.groups))])
        return self.penalty * sparsity * all_scores.sigmoid().mean()
