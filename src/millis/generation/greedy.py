"""Greedy: the most likely token, every time.

Of 50,000 logits that takes 8 µs, and the loop around it 1 µs more (`benchmarks/generation.py`).
"""

from dataclasses import dataclass
from math import isfinite

import numpy as np
from numpy.typing import NDArray

from millis.generation.contract import Generation
from millis.generation.writing import Choose, Limits, no_numbers
from millis.traits import LOGITS, Traits
from millis.types import Search


@dataclass(frozen=True)
class Greedy(Generation):
    """The token with the largest logit; of several the one with the smallest id."""

    @property
    def traits(self) -> Traits:
        """With a form or guesses logits are read."""
        return (LOGITS,) if self.choices or self.regex is not None or self.draft is not None else ()

    def chooser(self) -> Choose:
        """`largest`."""
        return largest

    def search(self, limits: Limits) -> Search:
        """One beam; as `Generation.search` with a form or a draft."""
        if self.traits:
            return super().search(limits)
        return Search(1, 0.0, limits.most, limits.least)


def largest(logits: NDArray[np.float32]) -> int:
    """The position of the largest of `logits` [V], the first of several.

    Raises:
        MillisError: one is NaN or infinite, or none is above minus infinity.
    """
    token = int(logits.argmax())  # that of a NaN, where there is one
    if not isfinite(logits[token]):
        raise no_numbers(len(logits), float(logits[token]))
    return token
