"""Micro F1: of the labels of all texts together, the harmonic mean of precision and recall."""

from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from millis.metrics._labels import Kind, OverClasses, indicators
from millis.metrics._ratios import percentage
from millis.metrics.contract import Items


@dataclass(frozen=True)
class MicroF1(OverClasses):
    """100 × 2 · right / (predicted + actual), counted over texts and labels, in percent."""

    judges: ClassVar[tuple[Kind, ...]] = ("labels",)

    def statistics(self, answers: Items, references: Items) -> NDArray[np.float64]:
        """Labels that are right, and those predicted or true, [N, 2]."""
        predicted, actual = indicators(answers, self.classes), indicators(references, self.classes)
        return np.stack([(predicted * actual).sum(axis=1), (predicted + actual).sum(axis=1)], axis=1)

    def value(self, sums: NDArray[np.float64]) -> NDArray[np.float64]:
        """[..., 2] → [...]"""
        return percentage(2 * sums[..., 0], sums[..., 1])
