"""Macro F1: the mean over classes of the harmonic mean of precision and recall.

Of the two definitions in use this is the mean of F1s, not the F1 of mean precision and mean recall: see Opitz and
Burst 2019, "Macro F1 and Macro F1".
"""

import numpy as np
from numpy.typing import NDArray


def macro_f1(predictions: NDArray[np.int64], references: NDArray[np.int64]) -> float:
    """100 × the mean over classes c of 2·right(c) / (predicted(c) + actual(c)), in percent.

    The mean is over classes that occur in either list, so a class that is predicted but never true counts as 0.

    Args:
        predictions: Predicted label indices [N].
        references: True label indices [N].
    """
    classes = 1 + max(int(predictions.max()), int(references.max()))
    right = np.bincount(references[predictions == references], minlength=classes)
    either = np.bincount(predictions, minlength=classes) + np.bincount(references, minlength=classes)
    present = either > 0
    return 100 * float(np.mean(2 * right[present] / either[present]))
