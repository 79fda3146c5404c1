"""Mean reciprocal rank: at which place the first right candidate stands.

Voorhees 1999, "The TREC-8 Question Answering Track Report". Right are the most relevant candidates of a query: of yes
and no those of yes, of grades those of the highest that the query has, of click rates the one that was clicked most.
"""

from dataclasses import dataclass
from math import comb
from typing import ClassVar

from millis.metrics._scores import Numbers, OverScores, Tiers, best


@dataclass(frozen=True)
class Mrr(OverScores):
    """100 × mean of 1 / (place of the first right candidate), in percent; 0 beyond `depth`, where there is one."""

    depth: ClassVar[int | None] = None

    def quality(self, tiers: Tiers, relevance: Numbers) -> float:
        """Its expectation over the order of ties.

        Of n tied candidates after b others, r of them right, the first right one stands at place b + j where the r - 1
        others are among the n - j after it: C(n - j, r - 1) of C(n, r) choices.
        """
        right, before = best(relevance), 0
        for tier in tiers:
            n, r = len(tier), int(right[tier].sum())
            if r:
                last = n - r + 1 if self.depth is None else min(n - r + 1, self.depth - before)
                return sum(comb(n - j, r - 1) / comb(n, r) / (before + j) for j in range(1, last + 1))
            before += n
        raise AssertionError("every query has a most relevant candidate")
