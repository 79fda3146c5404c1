"""Macro F1: the mean over classes of the harmonic mean of precision and recall.

Of the two definitions in use this is the mean of F1s, not the F1 of mean precision and mean recall: see Opitz and
Burst 2019, "Macro F1 and Macro F1".
"""

from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from millis.metrics._labels import Kind, OverClasses, indicators
from millis.metrics._ratios import mean_percentage
from millis.metrics.contract import Items


@dataclass(frozen=True)
class MacroF1(OverClasses):
    """100 × the mean over classes c of 2·right(c) / (predicted(c) + actual(c)), in percent.

    The mean is over classes that occur in either list, so a class that is predicted but never true counts as 0.
    """

    judges: ClassVar[tuple[Kind, ...]] = ("label", "labels")

    def statistics(self, answers: Items, references: Items) -> NDArray[np.float64]:
        """Right of each class, then predicted + true of each, [N, 2C]."""
        predicted, actual = indicators(answers, self.classes), indicators(references, self.classes)
        return np.concatenate([predicted * actual, predicted + actual], axis=1)

    def value(self, sums: NDArray[np.float64]) -> NDArray[np.float64]:
        """[..., 2C] → [...]"""
        right, either = np.split(sums, 2, axis=-1)
        return mean_percentage(2 * right, either)
