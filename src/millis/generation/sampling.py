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


@dataclass(frozen=True)
class Sampling(Generation):
    """A token x with probability p(x) ∝ exp(logit(x) / temperature) among those that the filters keep.

    Args:
        temperature: Above 0; below 1 makes likely tokens likelier. Towards 0 this is `greedy`.
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
        if not 0 < self.temperature < np.inf:
            raise MillisError(
                f"generation.temperature={self.temperature}: expected a number above 0. For the most likely token "
                "choose generation=greedy"
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
            tokens, probabilities = self.kept(logits)
            sums = probabilities.cumsum()
            drawn = min(draws.random() * sums[-1], np.nextafter(sums[-1], 0))  # a product may be rounded up
            return int(tokens[np.searchsorted(sums, drawn, side="right")])

        return choose

    def kept(self, logits: NDArray[np.float32]) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
        """The tokens that may be drawn and the probability of each, [K] of both, K at least 1.

        Args:
            logits: [V]

        Raises:
            MillisError: one is NaN or infinite, or none is above minus infinity.
        """
        largest = logits.max()
        if not np.isfinite(largest):
            raise no_numbers(len(logits), float(largest))
        tokens = np.flatnonzero(logits >= self._least(logits))
        weights = np.exp((logits[tokens] - np.float64(largest)) / self.temperature)
        probabilities = weights / weights.sum()
        return (tokens, probabilities) if self.top_p >= 1 else self._nucleus(tokens, probabilities)

    def _least(self, logits: NDArray[np.float32]) -> np.float32:
        """The logit of the last token that `top_k` keeps."""
        if self.top_k is None or self.top_k >= len(logits):
            return np.float32(-np.inf)
        return np.float32(np.partition(logits, -self.top_k)[-self.top_k])

    def _nucleus(
        self, tokens: NDArray[np.int64], probabilities: NDArray[np.float64]
    ) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
        """What `top_p` keeps, likeliest first.

        Tokens below (1 - p) / V have less than 1 - p together, so that the nucleus has none of them, and few of a large
        vocabulary have to be sorted.
        """
        likely = np.flatnonzero(probabilities >= (1 - self.top_p) / len(tokens))
        order = likely[np.argsort(-probabilities[likely], kind="stable")]
        count = int(np.searchsorted(probabilities[order].cumsum(), self.top_p)) + 1
        kept = order[:count]
        return tokens[kept], probabilities[kept] / probabilities[kept].sum()
