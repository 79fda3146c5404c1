"""Recall@5: which share of a query's right candidates stands at its first five places.

Right are the most relevant ones of the query (`millis.metrics.mrr`).
"""

from dataclasses import dataclass
from typing import ClassVar

from millis.metrics._recall import OverPlaces


@dataclass(frozen=True)
class RecallAt5(OverPlaces):
    """100 × mean of (right candidates among the first 5) / (right candidates), in percent."""

    places: ClassVar[int] = 5
