"""Token accuracy: how many words get the right tag, those outside of spans among them."""

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
class TokenAccuracy:
    """100 × (words with the right tag) / words, in percent."""

    judges: ClassVar[tuple[Kind, ...]] = ("tags",)
    better: ClassVar[Better] = "higher"
    unit: ClassVar[str] = "%"

    @classmethod
    def of(cls, labels: Sequence[str]) -> Self:
        """Over any tags."""
        return cls()

    def statistics(self, answers: Items, references: Items) -> NDArray[np.float64]:
        """Right words, words, [N, 2]."""
        pairs = zip(answers, references, strict=True)
        counts = [(sum(map(int.__eq__, answer, reference)), len(reference)) for answer, reference in pairs]
        return np.array(counts, np.float64).reshape(-1, 2)

    def value(self, sums: NDArray[np.float64]) -> NDArray[np.float64]:
        """[..., 2] → [...]"""
        return percentage(sums[..., 0], sums[..., 1])
