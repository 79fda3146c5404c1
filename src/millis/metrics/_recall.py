"""Recall of the first places, shared by its depths."""

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from millis.metrics._scores import Numbers, OverScores, Tiers, best, spread


@dataclass(frozen=True)
class OverPlaces(OverScores):
    """100 × mean of (right candidates among the first k) / (right candidates), in percent."""

    places: ClassVar[int]

    def quality(self, tiers: Tiers, relevance: Numbers) -> float:
        """Its expectation over the order of ties."""
        right = best(relevance)
        return spread(right, (np.arange(len(right)) < self.places).astype(np.float64), tiers) / float(right.sum())
