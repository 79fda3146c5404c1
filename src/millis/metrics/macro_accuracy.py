"""Macro accuracy, also called balanced accuracy: the mean recall of the classes, rare ones counting like common ones.

Source: Brodersen et al. 2010, "The balanced accuracy and its posterior distribution" (for two classes).
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar, Self

import numpy as np
from numpy.typing import NDArray

from millis.metrics._labels import Classes, class_count, one_hot
from millis.metrics._ratios import mean_percentage
from millis.units import Better


@dataclass(frozen=True)
class MacroAccuracy:
    """100 × the mean over classes c of (right answers of c) / (references of c), in percent.

    The mean is over classes that occur in the references: a class that does not has no recall.

    Args:
        classes: C.
    """

    classes: Classes
    better: ClassVar[Better] = "higher"
    unit: ClassVar[str] = "%"

    @classmethod
    def of(cls, labels: Sequence[str]) -> Self:
        """Over `labels`."""
        return cls(class_count(labels))

    def statistics(self, answers: NDArray[np.int64], references: NDArray[np.int64]) -> NDArray[np.float64]:
        """Right of each class, then true of each, [N, 2C]."""
        actual = one_hot(references, self.classes)
        return np.concatenate([actual * (answers == references)[:, None], actual], axis=1)

    def value(self, sums: NDArray[np.float64]) -> NDArray[np.float64]:
        """[..., 2C] → [...]"""
        right, actual = np.split(sums, 2, axis=-1)
        return mean_percentage(right, actual)
