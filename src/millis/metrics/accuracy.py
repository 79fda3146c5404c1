"""Accuracy: how many of the answers are right."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar, Self

import numpy as np
from numpy.typing import NDArray

from millis.metrics._labels import LABEL, Kind
from millis.metrics._ratios import percentage
from millis.units import Better


@dataclass(frozen=True)
class Accuracy:
    """100 × (right answers) / N, in percent."""

    judges: ClassVar[tuple[Kind, ...]] = LABEL
    better: ClassVar[Better] = "higher"
    unit: ClassVar[str] = "%"

    @classmethod
    def of(cls, labels: Sequence[str]) -> Self:
        """Over any labels."""
        return cls()

    def statistics(self, answers: NDArray[np.int64], references: NDArray[np.int64]) -> NDArray[np.float64]:
        """(right, 1), [N, 2]."""
        return np.stack([answers == references, np.ones(len(references))], axis=1)

    def value(self, sums: NDArray[np.float64]) -> NDArray[np.float64]:
        """[..., 2] → [...]"""
        return percentage(sums[..., 0], sums[..., 1])
