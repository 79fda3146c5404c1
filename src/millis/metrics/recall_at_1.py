"""Recall@1: which share of a query's right candidates stands at its first place.

Right are the most relevant ones of the query (`millis.metrics.mrr`). Of one right candidate it says how often that is
found at once.
"""

from dataclasses import dataclass
from typing import ClassVar

from millis.metrics._recall import OverPlaces


@dataclass(frozen=True)
class RecallAt1(OverPlaces):
    """100 × mean of (right candidates among the first 1) / (right candidates), in percent."""

    places: ClassVar[int] = 1
