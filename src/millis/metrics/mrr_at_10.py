"""Mean reciprocal rank of the first ten: at which place the first right candidate stands, if it stands there.

As MS MARCO has it (Nguyen et al. 2016, 1611.09268): a query whose first right candidate stands later counts 0.
"""

from dataclasses import dataclass
from math import comb

from millis.metrics._scores import Numbers, OverScores, Tiers, best

DEPTH = 10


@dataclass(frozen=True)
class MrrAt10(OverScores):
    """100 × mean of 1 / (place of the first right candidate), 0 beyond the tenth, in percent."""

    def quality(self, tiers: Tiers, relevance: Numbers) -> float:
        """Its expectation over the order of ties; see `millis.metrics.mrr.Mrr`."""
        right, before = best(relevance), 0
        for tier in tiers:
            n, r = len(tier), int(right[tier].sum())
            if r:
                places = range(1, min(n - r + 1, DEPTH - before) + 1)
                return sum(comb(n - j, r - 1) / comb(n, r) / (before + j) for j in places)
            before += n
        raise AssertionError("every query has a most relevant candidate")
