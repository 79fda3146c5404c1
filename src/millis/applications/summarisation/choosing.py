"""Which sentences make a summary: the first ones, or those that say most and repeat each other least.

Maximal marginal relevance (Carbonell and Goldstein 1998, "The Use of MMR, Diversity-Based Reranking for Reordering
Documents and Producing Summaries"): one sentence after the other is taken that has the largest

    share · worth(s) - (1 - share) · max over those taken of cos(s, t)

Departure: worth is what the application says of a sentence, in deviations from the mean of its text, where the paper
has the similarity to a query. With `share=1` the best are taken, whatever they repeat.

Axes here: N sentences, D of a vector.
"""

import numpy as np
from numpy.typing import NDArray

Numbers = NDArray[np.float32]


def standardised(values: Numbers) -> Numbers:
    """Deviations from the mean, [N]; zeros where all are equal."""
    apart = values - values.mean()
    deviation = float(apart.std())
    return apart / np.float32(deviation) if deviation > 1e-9 else np.zeros_like(apart)


def leading(count: int, most: int) -> list[int]:
    """The first `most` of `count` sentences: the baseline that summaries of news seldom beat."""
    return list(range(min(count, most)))


def marginal(worth: Numbers, vectors: Numbers, most: int, share: float) -> list[int]:
    """Places of up to `most` sentences by maximal marginal relevance, in the order of the text.

    Args:
        worth: Of each, [N].
        vectors: Of length 1, [N, D].
        share: λ, from 0 to 1.
    """
    scores, taken = standardised(worth), list[int]()
    nearest = np.full(len(worth), -np.inf, np.float32)
    left = np.ones(len(worth), bool)
    while len(taken) < min(most, len(worth)):
        gains = share * scores - ((1 - share) * nearest if taken and share < 1 else 0)
        best = int(np.argmax(np.where(left, gains, -np.inf)))
        taken.append(best)
        left[best] = False
        np.maximum(nearest, vectors @ vectors[best], out=nearest)
    return sorted(taken)
