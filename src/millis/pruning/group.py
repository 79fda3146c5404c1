"""Group: units that share one mask, such as the heads of a layer or the weights of a matrix."""

from collections.abc import Callable
from dataclasses import dataclass, field

import torch
from torch import Tensor

from millis.pruning.sites import Site
from millis.pruning.tiles import Tiles

WEIGHTS, HEADS, FFN, HIDDEN, LAYERS = "weights", "heads", "neurons", "hidden channels", "layers"
"""Kinds of units, in the words of messages."""


@dataclass(frozen=True, eq=False)
class Group:
    """Prunable units.

    Args:
        name: Of the module whose output side is gated, as in `model.named_modules()`; logs and `targets` use it.
        kind: What a unit is: one of those above.
        shape: Of the units: [outputs, inputs] of a matrix for single weights, [H] for heads.
        sites: Where the gate multiplies.
        scored: The matrices that belong to the units: a unit's score is the sum over its tiles in them.
        zeroed: What else is zero once a unit is gone: biases, norms, embeddings.
        layer: Index of the layer that the units are in, where there is one.
    """

    name: str
    kind: str
    shape: tuple[int, ...]
    sites: tuple[Site, ...]
    scored: tuple[Tiles, ...]
    zeroed: tuple[Tiles, ...] = field(default=())
    layer: int | None = None

    @property
    def size(self) -> int:
        """Weights of a unit, those of matrices alone."""
        return sum(tiles.size for tiles in self.scored)

    @property
    def graded(self) -> bool:
        """Whether a unit that stays can be multiplied by something else than 1 for good."""
        return all(site.graded for site in self.sites)

    def total(self, score: Callable[[Tiles], Tensor]) -> Tensor:
        """Sum of the weights' scores over each unit, of `shape`.

        Args:
            score: Gives the score of every weight of a matrix, [outputs, inputs].
        """
        return torch.stack([tiles.sums(score(tiles)).reshape(self.shape) for tiles in self.scored]).sum(0)

    @torch.no_grad()
    def clear(self, keep: Tensor) -> None:
        """Set all weights of the units that are not kept to zero."""
        for tiles in (*self.scored, *self.zeroed):
            tiles.parameter.mul_(tiles.spread(keep.to(tiles.parameter.dtype)))
