"""Spearman correlation: how far two lists of numbers are in the same order, whatever their scale."""

from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray
from scipy.stats import rankdata

from millis.metrics._numbers import OverNumbers
from millis.metrics.contract import Items, one_by_one
from millis.metrics.pearson import Pearson
from millis.units import Better


@dataclass(frozen=True)
class Spearman(OverNumbers):
    """Pearson correlation of the ranks, ties sharing theirs, -100..100.

    Ranks do not add up over items, so resamples are ranked one by one.
    """

    better: ClassVar[Better] = "higher"
    unit: ClassVar[str] = "%"

    def weighted(self, answers: Items, references: Items, counts: NDArray[np.float64]) -> NDArray[np.float64]:
        """The correlation where every item counts so many times, [R]; see `millis.metrics.contract.weighted`."""
        return one_by_one(_correlation, answers, references, counts)


def _correlation(answers: Items, references: Items) -> float:
    if not len(answers):
        return float("nan")
    ranks = [rankdata(np.asarray(values, np.float64)) for values in (answers, references)]
    return float(Pearson().weighted(ranks[0], ranks[1], np.ones((1, len(answers))))[0])
