"""Macro accuracy, also called balanced accuracy: the mean recall of the classes, rare ones counting like common ones.

Source: Brodersen et al. 2010, "The balanced accuracy and its posterior distribution" (for two classes).
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from millis.metrics._labels import OverClasses, one_hot
from millis.metrics._ratios import mean_percentage


@dataclass(frozen=True)
class MacroAccuracy(OverClasses):
    """100 × the mean over classes c of (right answers of c) / (references of c), in percent.

    The mean is over classes that occur in the references: a class that does not has no recall.
    """

    def statistics(self, answers: NDArray[np.int64], references: NDArray[np.int64]) -> NDArray[np.float64]:
        """Right of each class, then true of each, [N, 2C]."""
        actual = one_hot(references, self.classes)
        return np.concatenate([actual * (answers == references)[:, None], actual], axis=1)

    def value(self, sums: NDArray[np.float64]) -> NDArray[np.float64]:
        """[..., 2C] → [...]"""
        right, actual = np.split(sums, 2, axis=-1)
        return mean_percentage(right, actual)
