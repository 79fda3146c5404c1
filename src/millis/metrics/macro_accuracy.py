"""Macro accuracy, also called balanced accuracy: the mean recall of the classes, rare ones counting like common ones.

Source: Brodersen et al. 2010, "The balanced accuracy and its posterior distribution" (for two classes).
"""

import numpy as np
from numpy.typing import NDArray


def macro_accuracy(predictions: NDArray[np.int64], references: NDArray[np.int64]) -> float:
    """100 × the mean over classes c of (right predictions of c) / (references of c), in percent.

    The mean is over classes that occur in the references: a class that does not has no recall.

    Args:
        predictions: Predicted label indices [N].
        references: True label indices [N].
    """
    actual = np.bincount(references)
    right = np.bincount(references[predictions == references], minlength=len(actual))
    present = actual > 0
    return 100 * float(np.mean(right[present] / actual[present]))
