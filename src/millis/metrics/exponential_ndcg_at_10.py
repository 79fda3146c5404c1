"""NDCG@10 of grades: a grade more counts about twice as much, as results on web search are published.

Burges et al. 2005, "Learning to Rank using Gradient Descent", section 6: the gain is 2^grade - 1.
"""

from dataclasses import dataclass

import numpy as np

from millis.errors import MillisError
from millis.metrics._ndcg import OverGains
from millis.metrics._scores import Numbers

HIGHEST = 31  # as many grades as libraries of boosted trees take; a hundred would leave the highest alone to count


@dataclass(frozen=True)
class ExponentialNdcgAt10(OverGains):
    """100 × mean of DCG@10 / best DCG@10, in percent, with 2^grade - 1 as gain."""

    def gain(self, relevance: Numbers) -> Numbers:
        """2^grade - 1.

        Raises:
            MillisError: a relevance that is no grade.
        """
        if (relevance != np.floor(relevance)).any() or relevance.max() > HIGHEST:
            strange = next(value for value in relevance if not float(value).is_integer() or value > HIGHEST)
            raise MillisError(
                f"exponential_ndcg_at_10 takes grades, whole numbers of 0 to {HIGHEST}, and got {strange:g}: choose "
                "ndcg_at_10"
            )
        return np.asarray(2.0**relevance - 1)
