"""Pearson correlation: how far numbers rise and fall together, on a line."""

from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from millis.metrics._numbers import OverNumbers
from millis.metrics.contract import Items
from millis.units import Better


@dataclass(frozen=True)
class Pearson(OverNumbers):
    """100 × cov(x, y) / (σ(x) σ(y)), -100..100; undefined where either list is constant."""

    better: ClassVar[Better] = "higher"
    unit: ClassVar[str] = "%"

    def statistics(self, answers: Items, references: Items) -> NDArray[np.float64]:
        """(1, x, y, x², y², x·y), [N, 6]."""
        x, y = np.asarray(answers, np.float64), np.asarray(references, np.float64)
        return np.stack([np.ones_like(x), x, y, x * x, y * y, x * y], axis=1)

    def value(self, sums: NDArray[np.float64]) -> NDArray[np.float64]:
        """[..., 6] → [...]"""
        count, x, y, xx, yy, xy = np.moveaxis(sums, -1, 0)
        spread = np.maximum(count * xx - x * x, 0) * np.maximum(count * yy - y * y, 0)
        scale = np.sqrt(np.where(spread > 1e-12 * np.maximum(count * xx, 0) * np.maximum(count * yy, 0), spread, 0))
        return np.asarray(
            np.divide(100 * (count * xy - x * y), scale, out=np.full(scale.shape, np.nan), where=scale > 0)
        )
