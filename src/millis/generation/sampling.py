"""Sampling: a token drawn from the model's distribution, with its tail cut off.

Filters act in the order of transformers: the temperature divides the logits, `top_k` keeps the likeliest, and `top_p`
keeps the nucleus of what is left (Holtzman et al. 2020, 1904.09751, section 3.1).
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from millis.errors import MillisError
from millis.generation.contract import Generation
from millis.generation.writing import Choose, no_numbers

BLOCK = 256  # of 50,000 weights there are 196
SORTED = 512  # tokens that a nucleus is sought among first: a peaked distribution has 0.9 of its mass in fewer
COLDEST = 1e-6  # what float32 divides logits by without overflow where it matters


@dataclass(frozen=True)
class Sampling(Generation):
    """A token x with probability p(x) ∝ exp(logit(x) / temperature) among those that the filters keep.

    Args:
        temperature: From 1e-6 on; below 1 makes likely tokens likelier. Towards 0 this is `greedy`.
        top_k: How many of the likeliest tokens are kept, and those as likely as the last of them; None keeps all.
        top_p: The fewest of the likeliest tokens are kept that have so much probability together, the smaller id first
            among equals; 1 keeps all.
        seed: Of the draws of every text: the same prompt has the same text, whatever was written before.

    Raises:
        MillisError: as `Generation`, or a number outside of these.
    """

    temperature: float = 1.0
    top_k: int | None = None
    top_p: float = 1.0
    seed: int = 0

    def __post_init__(self) -> None:
        super().__post_init__()
        if not COLDEST <= self.temperature < np.inf:
            raise MillisError(
                f"generation.temperature={self.temperature}: expected a number from {COLDEST} on. For the most likely "
                "token choose generation=greedy"
            )
        if self.top_k is not None and self.top_k < 1:
            raise MillisError(
                f"generation.top_k={self.top_k}: expected 1 or more tokens, or null, which keeps all of them"
            )
        if not 0 < self.top_p <= 1:
            raise MillisError(
                f"generation.top_p={self.top_p}: expected a probability above 0 and at most 1, which keeps all tokens"
            )
        if self.seed < 0:
            raise MillisError(f"generation.seed={self.seed}: expected 0 or more")

    def chooser(self) -> Choose:
        """Draws from a generator of its own."""
        draws = np.random.default_rng(self.seed)

        def choose(logits: NDArray[np.float32]) -> int:
            tokens, weights = self.kept(logits)
            at = drawn(weights, draws.random())
            return at if tokens is None else int(tokens[at])

        return choose

    def kept(self, logits: NDArray[np.float32]) -> tuple[NDArray[np.int64] | None, NDArray[np.float32]]:
        """The tokens that may be drawn, [K], None where all may, and the weights by which they are, [K], 0 to 1.

        Args:
            logits: [V]

        Raises:
            MillisError: one is NaN or infinite, or none is above minus infinity.
        """
        largest = logits.max()
        if not np.isfinite(largest):
            raise no_numbers(len(logits), float(largest))
        tokens = None
        if self.top_k is not None and self.top_k < len(logits):
            tokens = _largest(logits, self.top_k)
            logits = logits[tokens]
            least = np.partition(logits, -self.top_k)[-self.top_k]
            tokens, logits = tokens[logits >= least], logits[logits >= least]
        with np.errstate(over="ignore"):  # as far below the largest as this, weights are 0
            weights: NDArray[np.float32] = np.exp((logits - largest) / np.float32(self.temperature))
        if self.top_p >= 1:
            return tokens, weights
        likeliest = self._nucleus(logits, weights)
        return likeliest if tokens is None else tokens[likeliest], weights[likeliest]

    def _nucleus(self, logits: NDArray[np.float32], weights: NDArray[np.float32]) -> NDArray[np.int64]:
        """Positions that `top_p` keeps, likeliest first."""
        total = float(weights.sum(dtype=np.float64))
        order, sums = _ordered(logits, weights, _largest(logits, SORTED))
        if sums[-1] < self.top_p * total:
            # Those below (1 - p) / V have less than 1 - p together, so that none of them is in the nucleus.
            order, sums = _ordered(logits, weights, np.flatnonzero(weights >= (1 - self.top_p) * total / len(weights)))
        return order[: int(np.searchsorted(sums, self.top_p * total)) + 1]


def _ordered(
    logits: NDArray[np.float32], weights: NDArray[np.float32], places: NDArray[np.int64]
) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    """`places` from the largest of their logits on, and the running sum of their weights."""
    order = places[np.argsort(-logits[places], kind="stable")]
    return order, weights[order].cumsum(dtype=np.float64)


def drawn(weights: NDArray[np.float32], share: float) -> int:
    """The position at which the running sum of `weights` [K] passes `share` of all of it; never one of weight 0.

    Sums are taken of blocks first, which is quicker than a running sum over a large vocabulary.
    """
    begins = np.arange(0, len(weights), BLOCK)
    block, inside = _passes(np.add.reduceat(weights, begins), share)
    begin = block * BLOCK
    return begin + _passes(weights[begin : begin + BLOCK], inside)[0]


def _passes(weights: NDArray[np.float32], share: float) -> tuple[int, float]:
    """The position, and which share of its weight is passed."""
    sums = weights.cumsum(dtype=np.float64)
    sought = min(share * sums[-1], np.nextafter(sums[-1], 0))  # a product may be rounded up
    at = int(np.searchsorted(sums, sought, side="right"))
    before = sums[at - 1] if at else 0.0
    return at, float((sought - before) / (sums[at] - before))


def _largest(logits: NDArray[np.float32], count: int) -> NDArray[np.int64]:
    """Positions, ascending, of all logits above a bound that at least `count` reach; all where they are not many more.

    The bound is the `count`-th largest of the maxima of groups, each of which is a logit that reaches it: of many
    logits that is quicker than partitioning them.
    """
    groups = max(1024, 8 * count)
    if len(logits) < 2 * groups:
        return np.arange(len(logits))
    rows = len(logits) // groups
    maxima = logits[: rows * groups].reshape(rows, groups).max(axis=0)
    return np.flatnonzero(logits >= np.partition(maxima, -count)[-count])
