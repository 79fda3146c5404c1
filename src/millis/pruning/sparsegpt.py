"""SparseGPT (Frantar and Alistarh 2023, 2301.00774): half of the weights taken away at once, the others make it good.

Layers come in the order of a forward pass; what each reads is computed with all before it pruned. In a layer inputs go
one after the other, and with U the upper Cholesky factor of (X Xᵀ + λ I)⁻¹ (algorithm 1, section 3.3):

    e = w_j / U_jj where w_j goes, else 0,   w_k ← w_k - e U_jk   for the inputs k that come after j

Which weights go is decided as inputs come, by what is left of them: of each 128 inputs those with the lowest
(w_j / U_jj)², over all outputs together; of an N:M pattern of each M inputs of an output. Weights of inputs that no
text activates go first.

Departure: the authors' texts have 2048 tokens; here they are training texts of any length.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import torch
from torch import Tensor, nn

from millis.errors import MillisError
from millis.models.hessian import check_finite, dead, inverse_factor
from millis.pruning.granularity import Granularity
from millis.pruning.granularity.element import Element
from millis.pruning.granularity.n_m import NM
from millis.pruning.targets import Targets
from millis.traits import MIXES, MOVES_WEIGHTS, RESHAPES, Reasons, Traits

BLOCK = 128  # inputs among which it is decided what goes, and after which all others are made good at once

Products = Callable[[], Tensor]
"""X Xᵀ [I, I] of what some layers read, fp64, with all before them as they are by now."""


@dataclass(frozen=True)
class SparseGpt:
    """Prune single weights before training, or without any.

    Args:
        granularity: `Element`, or `NM`, of linear layers alone.
        sparsity: Share of each layer's weights that goes.
        targets: Regular expressions of layer names; None prunes all but classification heads.
        dampening: Share of the mean square of a layer's inputs that is added to each input's; the authors' 0.01.
        samples: Training texts that are read.

    Raises:
        MillisError: a setting out of its range, or a granularity of larger units.
    """

    granularity: Granularity
    sparsity: float = 0.5
    targets: Targets = None
    dampening: float = 0.01
    samples: int = 128
    before_training: ClassVar[bool] = True
    keeps_shape: ClassVar[bool] = True
    traits: ClassVar[Traits] = (RESHAPES, MOVES_WEIGHTS)
    refuses: ClassVar[Reasons] = {
        MIXES: "factorization mixes rows and columns of matrices, and pruning=sparsegpt leaves zeros in them, which "
        "would be lost. Choose factorization=none, or pruning=to_latency"
    }

    def __post_init__(self) -> None:
        if not isinstance(self.granularity, Element | NM) or self.granularity.embeddings:
            raise MillisError(
                "pruning=sparsegpt takes single weights of linear layers away: expected pruning/granularity=element or "
                "n_m, with embeddings=false"
            )
        self.granularity.check(self.sparsity)
        if not 0 < self.dampening <= 1:
            raise MillisError(f"pruning.dampening={self.dampening}: expected above 0, up to 1; 0.01 is usual")
        if self.samples < 1:
            raise MillisError(f"pruning.samples={self.samples}: expected at least 1 training text; 128 are usual")

    def layers(self, model: nn.Module) -> dict[str, nn.Linear]:
        """Name → linear layer that is pruned.

        Raises:
            MillisError: as `Granularity.groups`.
        """
        found: dict[str, Any] = {
            group.name: model.get_submodule(group.name) for group in self.granularity.groups(model, self.targets)
        }
        return found

    @torch.no_grad()
    def apply(self, read: Sequence[tuple[Mapping[str, nn.Linear], Products]]) -> None:
        """Prune layers in place.

        Args:
            read: In the order of a forward pass, layers that read the same, and the products of that.

        Raises:
            MillisError: a layer that reads numbers that are none, or infinite ones.
        """
        for layers, products in read:
            found = products()
            check_finite(found, "pruning=sparsegpt", next(iter(layers)))
            factor, never = inverse_factor(found, self.dampening), dead(found)
            for layer in layers.values():
                layer.weight.copy_(self.pruned(layer.weight.masked_fill(never, 0.0), factor))

    def pruned(self, weight: Tensor, factor: Tensor) -> Tensor:
        """A weight [O, I] with zeros, and the others moved.

        Args:
            factor: U [I, I].
        """
        left, factor = weight.t().clone(), factor.to(weight.dtype)  # inputs one below the other
        worth = factor.diagonal()[:, None]
        m = self.granularity.m if isinstance(self.granularity, NM) else BLOCK
        block = max(1, BLOCK // m) * m
        goes = torch.zeros_like(left, dtype=torch.bool)
        for start in range(0, len(left), block):
            stop = min(start + block, len(left))
            errors = torch.empty_like(left[start:stop])
            for j in range(start, stop):
                if (j - start) % m == 0:
                    end = min(j + m, stop)
                    goes[j:end] = self._lowest((left[j:end] / worth[j:end]).square())
                errors[j - start] = torch.where(goes[j], left[j] / worth[j], 0.0)
                left[j + 1 : stop].addr_(factor[j, j + 1 : stop], errors[j - start], alpha=-1)
            left[stop:] -= factor[start:stop, stop:].t() @ errors
        return left.masked_fill(goes, 0.0).t()

    def _lowest(self, scores: Tensor) -> Tensor:
        """Which weights go, of the shape of `scores`, [inputs, O]."""
        if isinstance(self.granularity, NM):
            order = scores.argsort(dim=0, stable=True)[: self.granularity.m - self.granularity.n]
            return torch.zeros_like(scores, dtype=torch.bool).scatter_(0, order, value=True)
        order = scores.flatten().argsort(stable=True)[: round(self.sparsity * scores.numel())]
        return torch.zeros(scores.numel(), dtype=torch.bool).scatter_(0, order, value=True).reshape(scores.shape)
