"""Normalised discounted cumulative gain of the first places, shared by its two gains.

Järvelin and Kekäläinen 2002, "Cumulated Gain-Based Evaluation of IR Techniques": the gain at place i is divided by
log2(1 + i), and the sum by that of the best order. The discount is that of Burges et al. 2005, "Learning to Rank using
Gradient Descent", which trec_eval and scikit-learn take too.
"""

from abc import abstractmethod
from dataclasses import dataclass

import numpy as np

from millis.metrics._scores import Numbers, OverScores, Tiers, spread

PLACES = 10


@dataclass(frozen=True)
class OverGains(OverScores):
    """100 × mean over queries of DCG@10 / best DCG@10, in percent."""

    @abstractmethod
    def gain(self, relevance: Numbers) -> Numbers:
        """Of each candidate, [n] → [n], 0 or more."""

    def quality(self, tiers: Tiers, relevance: Numbers) -> float:
        """DCG / best DCG."""
        gains, places = self.gain(relevance), np.arange(len(relevance))
        discounts = np.where(places < PLACES, 1 / np.log2(places + 2), 0.0)
        return spread(gains, discounts, tiers) / float(-np.sort(-gains) @ discounts)
