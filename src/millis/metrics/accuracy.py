"""Accuracy: how many of the predictions are right."""

import numpy as np
from numpy.typing import NDArray


def accuracy(predictions: NDArray[np.int64], references: NDArray[np.int64]) -> float:
    """100 × (right predictions) / N, in percent.

    Args:
        predictions: Predicted label indices [N].
        references: True label indices [N].
    """
    return 100 * float(np.mean(predictions == references))
