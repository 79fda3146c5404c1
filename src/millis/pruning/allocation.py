"""Allocation: which units stay when a share of the weights has to go."""

from collections.abc import Sequence

import torch
from torch import Tensor

from millis.errors import MillisError, nearest
from millis.pruning.group import Group

ALLOCATIONS = ("global", "local")


def check(allocation: str) -> None:
    """Refuse an unknown allocation.

    Raises:
        MillisError: it is neither `global` nor `local`.
    """
    if allocation not in ALLOCATIONS:
        raise MillisError(
            f"pruning.allocation={allocation!r} is unknown; expected global (one threshold for all layers) or local "
            f"(the same share in every layer){nearest(str(allocation), ALLOCATIONS)}"
        )


def keep(groups: Sequence[Group], scores: Sequence[Tensor], sparsity: float, allocation: str) -> list[Tensor]:
    """The highest scores, so many that a share `sparsity` of the weights goes, to the nearest unit.

    Args:
        scores: Of each group's units, higher is worth more; comparable between groups where allocation is global.
        sparsity: In [0, 1).
        allocation: `global` ranks all units together, `local` those of each group by themselves.

    Returns:
        For each group True where a unit stays, of its shape.
    """
    sizes = [group.size for group in groups]
    if allocation == "global":
        return keep_highest(scores, sizes, sparsity)
    return [keep_highest([score], [size], sparsity)[0] for score, size in zip(scores, sizes, strict=True)]


def keep_highest(scores: Sequence[Tensor], sizes: Sequence[int], sparsity: float) -> list[Tensor]:
    """As `keep`, over all groups together; of equal scores the first goes first, and an infinite one never.

    Args:
        sizes: Weights of a unit of each group.
    """
    flat = torch.cat([score.flatten() for score in scores])
    if len(set(sizes)) == 1:
        gone = lowest(flat, rounded(sparsity * len(flat)))
    else:
        weights = torch.cat(
            [torch.full((score.numel(),), size).double() for score, size in zip(scores, sizes, strict=True)]
        )
        order = torch.argsort(flat, stable=True).cpu()
        removed = weights[order].cumsum(0)
        # A unit goes as long as at least half of it lies below the target.
        count = int((removed - weights[order] / 2 <= sparsity * weights.sum()).sum())
        gone = torch.zeros_like(flat, dtype=torch.bool)
        gone[order[:count].to(flat.device)] = True
    parts = torch.split(~gone | flat.isposinf(), [score.numel() for score in scores])
    return [part.reshape(score.shape) for part, score in zip(parts, scores, strict=True)]


def lowest(scores: Tensor, count: int) -> Tensor:
    """True at the `count` lowest of `scores` [N]; of equal ones, the first. Selects, without sorting: O(N)."""
    if count == 0:
        return torch.zeros_like(scores, dtype=torch.bool)
    threshold = scores.kthvalue(count).values
    below = scores < threshold
    ties = (scores == threshold).nonzero().flatten()
    below[ties[: count - int(below.sum())]] = True
    return below


def rounded(value: float) -> int:
    """The nearest whole number, halves up: Python's `round` would take half of 1 head to be 0 and of 3 to be 2."""
    return int(value + 0.5)
