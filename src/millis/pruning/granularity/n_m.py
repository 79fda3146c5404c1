"""Granularity N:M: of M consecutive inputs of an output, N stay. Sparse tensor cores run 2:4 (2104.08378)."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import torch
from torch import Tensor

from millis.errors import MillisError
from millis.pruning.granularity import Granularity
from millis.pruning.granularity.weights import matrices, tiled
from millis.pruning.group import Group
from millis.pruning.targets import Targets


@dataclass(frozen=True)
class NM(Granularity):
    """N of every M weights stay, along the input axis: every output and every layer has sparsity 1 - N / M.

    The pattern fixes where weights go, so there is one allocation only, whatever `pruning.allocation` says. While a
    schedule is under way, as many weights of each M go as its sparsity allows: 2:4 passes through 3:4.

    Args:
        n: Weights that stay, 1 up to M - 1.
        m: Neighbours; divides every pruned matrix's inputs.
        embeddings: Prune the embedding tables as well.
    """

    structural: ClassVar[bool] = False

    n: int = 2
    m: int = 4
    embeddings: bool = False

    def __post_init__(self) -> None:
        if not 0 < self.n < self.m:
            raise MillisError(f"pruning.granularity.n={self.n}, m={self.m}: expected 1 <= n < m, as in 2:4")

    def groups(self, model: Any, targets: Targets) -> list[Group]:
        """A group for each linear layer, of [out, in] units."""
        found = matrices(model, targets, self.embeddings)
        for name, module in found.items():
            inputs = module.get_parameter("weight").shape[1]
            if inputs % self.m:
                raise MillisError(
                    f"{self.n}:{self.m} sparsity needs inputs in multiples of {self.m}, but {name!r} has {inputs}. "
                    "Choose another pruning.granularity.m, or leave that layer out with pruning.targets"
                )
        return [tiled(name, module, 1, 1) for name, module in found.items()]

    def check(self, sparsity: float) -> None:
        """Refuse anything but 1 - N / M."""
        super().check(sparsity)
        final = 1 - self.n / self.m
        if abs(sparsity - final) > 1e-6:
            raise MillisError(
                f"{self.n}:{self.m} has a sparsity of {final:g}, not {sparsity:g}: set pruning.sparsity={final:g}, or "
                "choose another n and m"
            )

    def keep(self, groups: Sequence[Group], scores: Sequence[Tensor], sparsity: float, allocation: str) -> list[Tensor]:
        """All but the ⌊sparsity · M⌋ lowest of each M; of equal scores the first goes first."""
        count = int(sparsity * self.m + 1e-9)
        return [self._keep(score, count) for score in scores]

    def _keep(self, scores: Tensor, count: int) -> Tensor:
        outputs, inputs = scores.shape
        order = scores.reshape(outputs, inputs // self.m, self.m).argsort(dim=-1, stable=True)
        kept = torch.ones_like(order, dtype=torch.bool).scatter_(-1, order[..., :count], False)
        return kept.reshape(outputs, inputs)
