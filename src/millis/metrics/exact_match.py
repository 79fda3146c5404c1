"""Exact match: how many texts are answered without a mistake: all labels (subset accuracy), every tag, or both."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar, Self

import numpy as np
from numpy.typing import NDArray

from millis.metrics._labels import Kind
from millis.metrics._ratios import percentage
from millis.metrics.contract import Items
from millis.units import Better


@dataclass(frozen=True)
class ExactMatch:
    """100 × (texts without a mistake) / N, in percent."""

    judges: ClassVar[tuple[Kind, ...]] = ("labels", "tags", "label and tags")
    better: ClassVar[Better] = "higher"
    unit: ClassVar[str] = "%"

    @classmethod
    def of(cls, labels: Sequence[str]) -> Self:
        """Over anything."""
        return cls()

    def statistics(self, answers: Items, references: Items) -> NDArray[np.float64]:
        """(right, 1), [N, 2]."""
        right = [answer == reference for answer, reference in zip(answers, references, strict=True)]
        return np.stack([np.array(right, np.float64), np.ones(len(references))], axis=1)

    def value(self, sums: NDArray[np.float64]) -> NDArray[np.float64]:
        """[..., 2] → [...]"""
        return percentage(sums[..., 0], sums[..., 1])
