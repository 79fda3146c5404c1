"""Root mean squared error: how far numbers are off, in their own unit."""

from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from millis.metrics._numbers import OverNumbers
from millis.metrics.contract import Items
from millis.units import Better


@dataclass(frozen=True)
class Rmse(OverNumbers):
    """√ mean (x - y)²; less is better."""

    better: ClassVar[Better] = "lower"
    unit: ClassVar[str] = ""

    def statistics(self, answers: Items, references: Items) -> NDArray[np.float64]:
        """(squared error, 1), [N, 2]."""
        errors = np.asarray(answers, np.float64) - np.asarray(references, np.float64)
        return np.stack([errors**2, np.ones_like(errors)], axis=1)

    def value(self, sums: NDArray[np.float64]) -> NDArray[np.float64]:
        """[..., 2] → [...]"""
        squared, count = sums[..., 0], sums[..., 1]
        return np.asarray(np.sqrt(np.divide(squared, count, out=np.full(count.shape, np.nan), where=count > 0)))
