"""At which place of a ranking the item stands that was taken next; what was taken before is left out of rankings.

Recall@10 and NDCG@10 of one right item (Kang and McAuley 2018, section IV-C, but among all items, none sampled:
Krichene and Rendle 2020 show that samples mislead).
"""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from millis.applications.recommendation.interactions import Asked
from millis.applications.recommendation.tower import Numbers, Tower

PLACES = 10


def places_of(tower: Tower, vectors: Numbers, popularity: Numbers, asked: Sequence[Asked]) -> NDArray[np.float64]:
    """The place of what was taken next, from 0, of each question, [N]."""
    users = np.stack([tower.user(vectors[list(one.history)]) for one in asked])
    return ranked(users @ vectors.T + popularity, asked)


def ranked(scores: Numbers, asked: Sequence[Asked]) -> NDArray[np.float64]:
    """Places by scores [N, C], from 0; of equal scores the mean of their places, [N]."""
    scores = scores.copy()
    for row, one in enumerate(asked):
        scores[row, list(one.history)] = -np.inf
    right = scores[np.arange(len(asked)), [one.next for one in asked]][:, None]
    found: NDArray[np.float64] = (scores > right).sum(axis=1) + ((scores == right).sum(axis=1) - 1) / 2
    return found


def recall(places: NDArray[np.float64]) -> NDArray[np.float64]:
    """Whether each is among the first ten, [N]."""
    return (places < PLACES).astype(np.float64)


def ndcg(places: NDArray[np.float64]) -> NDArray[np.float64]:
    """1 / log2(2 + place) of those among the first ten, else 0, [N]."""
    found: NDArray[np.float64] = np.where(places < PLACES, 1 / np.log2(places + 2), 0.0)
    return found
