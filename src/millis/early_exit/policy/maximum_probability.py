"""Maximum probability: stop where one label has most of it (BERxiT, Xin et al. 2021; CALM, 2207.07061)."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from millis.early_exit.policy import SHARES


def score(logits: Sequence[NDArray[np.float32]]) -> NDArray[np.float32]:
    """max softmax(z) of the last exit's logits z, [B].

    Args:
        logits: Of each exit so far, [B, C].
    """
    last = logits[-1]
    largest: NDArray[np.float32] = 1 / np.exp(last - last.max(axis=1, keepdims=True)).sum(axis=1)
    return largest


def thresholds(exits: int) -> tuple[float, ...]:
    """Probabilities, strict to loose."""
    return SHARES
