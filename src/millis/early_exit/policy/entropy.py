"""Entropy: stop where the exit's answer is far from a guess (DeeBERT, 2004.12993)."""

import math
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from millis.early_exit.policy import SHARES


def score(logits: Sequence[NDArray[np.float32]]) -> NDArray[np.float32]:
    """1 - H(softmax(z)) / ln C of the last exit's logits z, [B]: 1 is certain, 0 all labels alike.

    DeeBERT's threshold is on H itself; divided by its maximum (as in FastBERT, 2004.02178) it means the same for every
    number of labels.

    Args:
        logits: Of each exit so far, [B, C], C at least 2.
    """
    shifted = logits[-1] - logits[-1].max(axis=1, keepdims=True)
    weights = np.exp(shifted)
    total = weights.sum(axis=1)
    entropy = np.log(total) - (weights * shifted).sum(axis=1) / total
    certainty: NDArray[np.float32] = 1 - entropy / math.log(shifted.shape[1])
    return certainty


def thresholds(exits: int) -> tuple[float, ...]:
    """Certainties, strict to loose."""
    return SHARES
