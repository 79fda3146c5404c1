"""NDCG@10: how much of the relevance stands where it is seen first; the gain is relevance itself.

Järvelin and Kekäläinen 2002, as trec_eval and scikit-learn compute it. It fits fractions such as click rates, and for
yes or no it is the exponential one too.
"""

from dataclasses import dataclass

from millis.metrics._ndcg import OverGains
from millis.metrics._scores import Numbers


@dataclass(frozen=True)
class NdcgAt10(OverGains):
    """100 × mean of DCG@10 / best DCG@10, in percent, with the relevance as gain."""

    def gain(self, relevance: Numbers) -> Numbers:
        """The relevance."""
        return relevance
