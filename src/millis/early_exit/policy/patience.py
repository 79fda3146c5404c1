"""Patience: stop where several exits in a row have given the same label (PABEE, 2006.04152)."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray


def score(logits: Sequence[NDArray[np.float32]]) -> NDArray[np.int64]:
    """How many exits before the last one, without a break, gave the label that it gives, [B].

    Args:
        logits: Of each exit so far, [B, C].
    """
    labels = np.stack([exit.argmax(axis=1) for exit in logits])  # [E', B]
    agree = labels[::-1] == labels[-1]  # the last exit first; it agrees with itself
    run: NDArray[np.int64] = np.cumprod(agree, axis=0).sum(axis=0) - 1
    return run


def thresholds(exits: int) -> tuple[float, ...]:
    """Agreements that are asked for: from one less than there are exits down to 1; with one exit there are none."""
    return tuple(float(agreements) for agreements in range(exits - 1, 0, -1))
