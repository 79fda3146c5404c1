"""Maximum probability: stop where one label has most of it (BERxiT, Xin et al. 2021; CALM, 2207.07061)."""

import numpy as np
from numpy.typing import NDArray

from millis.early_exit.policy import SHARES


def score(logits: NDArray[np.float32]) -> NDArray[np.float64]:
    """max softmax(z) of the last exit's logits z, [B].

    Args:
        logits: [E', B, C].
    """
    last = logits[-1].astype(np.float64)
    largest: NDArray[np.float64] = 1 / np.exp(last - last.max(axis=1, keepdims=True)).sum(axis=1)
    return largest


def thresholds(exits: int) -> tuple[float, ...]:
    """Probabilities, strict to loose."""
    return SHARES
