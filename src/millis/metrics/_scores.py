"""What metrics of scored candidates share: an item is a query, its candidates in any order.

Candidates of one score have no order. Each metric counts them by its expectation over all orders of theirs (McSherry
and Najork 2008, "Computing Information Retrieval Performance Measures Efficiently in the Presence of Tied Scores"), so
the order of rows counts for nothing, and equal scores throughout are worth what a random order is.
"""

from abc import abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import ClassVar, Self

import numpy as np
from numpy.typing import NDArray

from millis.errors import MillisError
from millis.metrics._labels import Kind
from millis.metrics._ratios import percentage
from millis.metrics.contract import Items
from millis.units import Better

ROUNDING = 1e-5  # of the largest score: what fp32 sums differ by where other texts are computed beside a text

Numbers = NDArray[np.float64]
Tiers = list[NDArray[np.int64]]
"""Positions of a query's candidates, those of one score together, the highest first."""


@dataclass(frozen=True)
class OverScores:
    """The mean over queries of a quality of each, in percent.

    A query whose candidates are all equally relevant has no order that is better than another: it does not count.
    """

    judges: ClassVar[tuple[Kind, ...]] = ("scores",)
    better: ClassVar[Better] = "higher"
    unit: ClassVar[str] = "%"

    @classmethod
    def of(cls, labels: Sequence[str]) -> Self:
        """Over anything."""
        return cls()

    @abstractmethod
    def quality(self, tiers: Tiers, relevance: Numbers) -> float:
        """Of one query, 0..1.

        Args:
            tiers: By what was answered.
            relevance: Of its candidates, [n], not all alike.
        """

    def statistics(self, answers: Items, references: Items) -> Numbers:
        """(quality, 1), or zeros of a query that does not count, [N, 2].

        Args:
            answers: Scores of each query's candidates, [N] tuples.
            references: How relevant they are, [N] tuples.

        Raises:
            MillisError: scores of more or fewer candidates, or that are no finite numbers.
        """
        rows = np.zeros((len(references), 2))
        for row, scores, relevances in zip(rows, answers, references, strict=True):
            relevance = np.asarray(relevances, np.float64)
            if len(scores) != len(relevance):
                raise MillisError(
                    f"got {len(scores)} scores for a query of {len(relevance)} candidates: expected as many"
                )
            tiers = by_score(np.asarray(scores, np.float64))
            if relevance.min() < relevance.max():
                row[:] = self.quality(tiers, relevance), 1
        return rows

    def value(self, sums: Numbers) -> Numbers:
        """[..., 2] → [...]"""
        return percentage(sums[..., 0], sums[..., 1])


def by_score(scores: Numbers) -> Tiers:
    """Candidates in the order of their scores, [n]; those that differ by no more than rounding are tied.

    Raises:
        MillisError: a score is no finite number.
    """
    if not np.isfinite(scores).all():
        raise MillisError("got scores that are no finite numbers: the model diverged, or the data is damaged")
    order: NDArray[np.int64] = np.argsort(-scores, kind="stable")
    falls = -np.diff(scores[order]) > ROUNDING * np.abs(scores).max()
    tiers: Tiers = np.split(order, np.flatnonzero(falls) + 1)
    return tiers


def spread(values: Numbers, places: Numbers, tiers: Tiers) -> float:
    """Σ over places of the value expected there × what the place is worth.

    Args:
        values: Of each candidate, [n].
        places: What each place is worth, the first to the last, [n].
    """
    ends = np.cumsum([0, *map(len, tiers)]).tolist()
    parts = zip(tiers, pairwise(ends), strict=True)
    return sum(float(values[tier].mean() * places[start:end].sum()) for tier, (start, end) in parts)


def best(relevance: Numbers) -> Numbers:
    """1 for the most relevant of a query's candidates, of yes and no those of yes, else 0, [n]."""
    return np.where(relevance == relevance.max(), 1.0, 0.0)
