"""Pearson correlation: how far numbers rise and fall together, on a line."""

from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from millis.metrics._numbers import OverNumbers
from millis.metrics.contract import Items
from millis.units import Better

TINY = 1e-9  # of the whole list's variance: below it a resample is constant


@dataclass(frozen=True)
class Pearson(OverNumbers):
    """100 × cov(x, y) / (σ(x) σ(y)), -100..100. Of constant answers it is 0; of constant references it is undefined.

    Sums are taken of both lists less their means, over their deviations, which changes no correlation and keeps digits.
    """

    better: ClassVar[Better] = "higher"
    unit: ClassVar[str] = "%"

    def weighted(self, answers: Items, references: Items, counts: NDArray[np.float64]) -> NDArray[np.float64]:
        """The correlation where every item counts so many times, [R]; see `millis.metrics.contract.weighted`."""
        x, y = _standardised(answers), _standardised(references)
        count, sum_x, sum_y, xx, yy, xy = (counts @ np.stack([np.ones_like(x), x, y, x * x, y * y, x * y], axis=1)).T
        spread_x, spread_y = count * xx - sum_x**2, count * yy - sum_y**2
        scale = np.sqrt(np.maximum(spread_x, 0) * np.maximum(spread_y, 0))
        varies = (spread_x > TINY) & (spread_y > TINY)
        found = np.divide(100 * (count * xy - sum_x * sum_y), scale, out=np.zeros_like(scale), where=varies)
        return np.where(spread_y > TINY, found, np.nan)


def _standardised(values: Items) -> NDArray[np.float64]:
    """Less their mean, over their deviation; zeros where all are equal."""
    numbers = np.asarray(values, np.float64)
    if not len(numbers) or numbers.min() == numbers.max():
        return np.zeros_like(numbers)
    centred = numbers - numbers.mean()
    return np.asarray(centred / centred.std())
