"""Hard-concrete gates, trained under an L0 constraint (Louizos et al. 2018, 1712.01312; CoFi, 2204.00408, section 3).

A gate is drawn anew in every training step, with u uniform in (0, 1) and log α trained (1712.01312, eq. 10-12):

    s = σ((log u - log(1 - u) + log α) / β),    z = min(1, max(0, s (ζ - γ) + γ)),
    P(z > 0) = σ(log α - β log(-γ / ζ)).

The expected sparsity ŝ = 1 - Σ size · P(z > 0) / Σ size is drawn to the schedule's t by the Lagrangian of Wang et al.
2020 (1910.04732), λ1 (ŝ - t) + λ2 (ŝ - t)², which training minimises by log α and maximises by λ1 and λ2.
"""

import math
from collections.abc import Sequence

import torch
from torch import Tensor, nn

from millis.errors import MillisError
from millis.pruning.criterion import Criterion, Numbered, zeros
from millis.pruning.group import Group

BETA, GAMMA, ZETA = 2 / 3, -0.1, 1.1  # temperature and stretch of 1712.01312, section 4
SHIFT = BETA * math.log(-GAMMA / ZETA)  # -1.6: log α at which a gate is closed half of the time
SMALLEST = 0.01  # of a kept gate: it changes next to nothing, and is not a zero that nobody asked for


class HardConcrete(Criterion):
    """Gates that learn to close.

    Between updates the drawn gates decide, masks only in validation. At the end the gates with the highest log α stay,
    as many as the target says, at their value without noise (eq. 13), which is multiplied into the weights. Hidden
    channels and layers that stay do so whole: no weights say half of a layer norm's channel, or half of a layer.

    Args:
        lr: Peak rate of log α and λ. A gate that starts open at log α = 2.9 is closed half of the time at -1.6: Adam
            needs 45 steps of 0.1 for that, 450 of 0.01.
        droprate: log α starts at log((1 - droprate) / droprate). CoFi's 0.5 halves every activation in the first
            steps, and the noise closes 17 % of the gates; 0.05 starts at the trained model, with 1 % of them closed.
    """

    observes = True
    additive = False

    def __init__(self, lr: float = 0.1, droprate: float = 0.05) -> None:
        super().__init__()
        if lr <= 0 or not 0 < droprate < 1:
            raise MillisError(
                f"pruning.criterion.lr={lr}, droprate={droprate}: expected a rate above 0, a droprate between 0 and 1"
            )
        self.lr = self.own_lr = lr
        self.droprate = droprate

    def prepare(self, model: nn.Module, groups: Sequence[Group]) -> None:
        """All gates alike; no pressure yet."""
        super().prepare(model, groups)
        start = math.log((1 - self.droprate) / self.droprate)
        empty = zeros(groups)
        self.log_alpha = Numbered([zero + start for zero in empty], trained=True)
        self.multipliers = nn.Parameter(torch.zeros(2, device=empty[0].device))
        self.drawn: dict[int, Tensor] = {}

    def gate(self, index: int, mask: Tensor) -> Tensor:
        """Drawn; the same all through a step."""
        if index not in self.drawn:
            log_alpha = self.log_alpha[index]
            uniform = torch.rand_like(log_alpha).clamp(1e-6, 1 - 1e-6)
            self.drawn[index] = stretched(torch.sigmoid((uniform.logit() + log_alpha) / BETA))
        return self.drawn[index]

    def kept(self, index: int) -> Tensor:
        """The gate without noise: min(1, max(0, σ(log α) (ζ - γ) + γ)), but not 0."""
        return stretched(self.log_alpha[index].detach().sigmoid()).clamp(min=SMALLEST)

    def scores(self, index: int) -> Tensor:
        """log α."""
        return self.log_alpha[index].detach()

    def sparsity(self) -> Tensor:
        """ŝ, the expected share of weights that is multiplied by 0."""
        sizes = [group.size for group in self.groups]
        open_weights = [size * open_probability(self.log_alpha[i]).sum() for i, size in enumerate(sizes)]
        weights = sum(size * math.prod(group.shape) for size, group in zip(sizes, self.groups, strict=True))
        return 1 - torch.stack(open_weights).sum() / weights

    def pressure(self, sparsity: float) -> Tensor:
        """λ1 (ŝ - t) + λ2 (ŝ - t)²; the gradient by λ is turned, for those ascend."""
        ascending = 2 * self.multipliers.detach() - self.multipliers
        distance = self.sparsity() - sparsity
        return (ascending * torch.stack([distance, distance.square()])).sum()

    def update(self, loss_scale: float) -> None:
        """Draw anew in the next step."""
        self.drawn.clear()

    def release(self) -> None:
        """Forget the step."""
        self.drawn.clear()


def stretched(s: Tensor) -> Tensor:
    """z of s: from (0, 1) to (γ, ζ), and clipped to [0, 1], which makes exact zeros and ones."""
    return (s * (ZETA - GAMMA) + GAMMA).clamp(0, 1)


def open_probability(log_alpha: Tensor) -> Tensor:
    """P(z > 0)."""
    return torch.sigmoid(log_alpha - SHIFT)
