"""Which heads and neurons to keep so that least is lost under a latency target: exact, by dynamic programming.

Each of the 2 L sublayers keeps some k of its units at the cost that the latency table states; whichever k, it keeps the
k most important ones, so a choice is one k a sublayer:

    minimise  sum of the importance of removed units    subject to    latency <= target

a multiple-choice knapsack (Kellerer et al. 2004, chapter 11). Kwon et al. 2022 (2204.09656, section 4.1) solve it for
latencies that rise along a line, one slope for all heads and one for all neurons; here the table may have any shape.

Latency is counted in `BINS` equal parts of the room between the fastest choice and the target, every cost rounded up.
So a choice never exceeds the target, and it is at least as good as any that stays 2 L / BINS of the room below it
(12 layers: 0.12 %).
"""

from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from millis.errors import MillisError
from millis.pruning.latency import LatencyTable

BINS = 20_000


class Kept(NamedTuple):
    """Indices of the kept units of each layer, ascending: [L] of [H'] and [L] of [F']."""

    heads: list[Tensor]
    ffn: list[Tensor]


class _Options(NamedTuple):
    """What a sublayer can keep: n choices, the fewest units first."""

    counts: list[int]  # [n] units kept
    costs_ms: NDArray[np.float64]  # [n]
    losses: NDArray[np.float64]  # [n] importance removed


def kept_within(
    table: LatencyTable, head_importance: Sequence[Tensor], neuron_importance: Sequence[Tensor], target_ms: float
) -> Kept:
    """The units whose removal loses least importance while the table's latency is at most `target_ms`.

    A layer keeps a number of units that the table has, or all. Among equals the faster choice is taken, and of equally
    important units the first.

    Args:
        table: Of the unpruned model.
        head_importance, neuron_importance: [L] of [H] and [L] of [F]; finite, 0 or more.
        target_ms: Of a request.

    Raises:
        MillisError: importance that is negative or not finite, or a target that nothing reaches.
    """
    importance = [*head_importance, *neuron_importance]
    for values in importance:
        if not bool(torch.isfinite(values).all()) or bool((values < 0).any()):
            raise MillisError(
                "the importance of a unit is negative or not finite; expected squared gradients. The model's loss is "
                "not finite on the samples: check the teacher's training"
            )
    options = [_options(values, table.heads, table.of_heads) for values in head_importance]
    options += [_options(values, table.ffn, table.of_ffn) for values in neuron_importance]
    fastest = table.base_ms + sum(float(option.costs_ms.min()) for option in options)
    if fastest > target_ms:
        dense = table.base_ms + sum(float(option.costs_ms[-1]) for option in options)
        raise MillisError(
            f"pruning heads and neurons cannot reach {target_ms:.4g} ms: with the fewest of both a request takes "
            f"{fastest:.4g} ms, {dense / fastest:.2f} times as fast as the {dense:.4g} ms of the unpruned model. Ask "
            "for a smaller pruning.target_speedup, or prune a student of fewer layers"
        )
    counts = _solve(options, target_ms - fastest)
    kept = [_most_important(values, count) for values, count in zip(importance, counts, strict=True)]
    return Kept(kept[: len(head_importance)], kept[len(head_importance) :])


def _options(importance: Tensor, sizes: Sequence[int], cost_ms: Callable[[int], float]) -> _Options:
    units = len(importance)
    counts = [*(size for size in sizes if size < units), units]
    # removed[k]: importance lost when only the k most important are kept.
    ascending = np.sort(importance.detach().cpu().double().numpy())
    removed = np.concatenate([[0.0], np.cumsum(ascending)])[::-1]
    return _Options(counts, np.array([cost_ms(count) for count in counts]), removed[counts])


def _solve(options: Sequence[_Options], room_ms: float) -> list[int]:
    """Units kept by each sublayer; `room_ms` above all sublayers' cheapest choices may be spent."""
    bin_ms = max(room_ms / BINS, 1e-12)
    best = np.full(BINS + 1, np.inf)  # least loss of the sublayers so far at exactly this latency
    best[0] = 0.0
    taken = np.zeros((len(options), BINS + 1), dtype=np.int64)
    spent = [_bins(option, bin_ms) for option in options]
    for sublayer, (option, costs) in enumerate(zip(options, spent, strict=True)):
        after = np.full(BINS + 1, np.inf)
        for index, (cost, loss) in enumerate(zip(costs, option.losses, strict=True)):
            if cost > BINS:
                continue
            candidate = best[: BINS + 1 - cost] + loss
            better = candidate < after[cost:]
            after[cost:][better] = candidate[better]
            taken[sublayer, cost:][better] = index
        best = after
    place, counts = int(best.argmin()), []
    for sublayer in range(len(options) - 1, -1, -1):
        index = int(taken[sublayer, place])
        counts.append(options[sublayer].counts[index])
        place -= spent[sublayer][index]
    return counts[::-1]


def _bins(option: _Options, bin_ms: float) -> list[int]:
    """Cost of each choice above the cheapest one, rounded up to bins; more than `BINS` is out of reach."""
    # The 1e-9 is for quotients that floating point puts a hair above a whole number.
    bins = np.ceil((option.costs_ms - option.costs_ms.min()) / bin_ms - 1e-9)
    return [int(cost) for cost in np.minimum(bins, BINS + 1)]


def _most_important(importance: Tensor, count: int) -> Tensor:
    return torch.argsort(importance.cpu(), descending=True, stable=True)[:count].sort().values
