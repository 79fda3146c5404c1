"""Entropy: stop where the exit's answer is far from a guess (DeeBERT, 2004.12993)."""

import numpy as np
from numpy.typing import NDArray

from millis.early_exit.policy import SHARES


def score(logits: NDArray[np.float32]) -> NDArray[np.float64]:
    """1 - H(softmax(z)) / ln C of the last exit's logits z, [B]: 1 is certain, 0 all labels alike.

    DeeBERT's threshold is on H itself; divided by its maximum (as in FastBERT, 2004.02178) it means the same for
    every number of labels.

    Args:
        logits: [E', B, C], C at least 2.
    """
    last = logits[-1].astype(np.float64)
    shifted = last - last.max(axis=1, keepdims=True)
    weights = np.exp(shifted)
    total = weights.sum(axis=1)
    entropy = np.log(total) - (weights * shifted).sum(axis=1) / total
    certainty: NDArray[np.float64] = 1 - entropy / np.log(last.shape[1])
    return certainty


def thresholds(exits: int) -> tuple[float, ...]:
    """Certainties, strict to loose."""
    return SHARES
