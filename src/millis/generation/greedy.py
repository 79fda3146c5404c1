"""Greedy: the most likely token, every time."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from millis.errors import MillisError
from millis.generation.contract import Generation
from millis.generation.writing import Choose


@dataclass(frozen=True)
class Greedy(Generation):
    """The token with the largest logit; of several the one with the smallest id."""

    def chooser(self) -> Choose:
        """`largest`."""
        return largest


def largest(logits: NDArray[np.float32]) -> int:
    """The position of the largest of `logits` [V], the first of several.

    Raises:
        MillisError: one is NaN, or none is above minus infinity.
    """
    token = int(logits.argmax())  # that of a NaN, where there is one
    if not logits[token] > -np.inf:
        raise MillisError(
            f"the largest of {len(logits)} logits is {logits[token]}: expected numbers. The model diverged in "
            "training, or its weights overflow in this precision"
        )
    return token
