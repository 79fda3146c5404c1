"""Which texts are timed: a round has the same mix of lengths as every other, and as the task."""

import random
from collections.abc import Sequence

from millis.types import Text


def stratified(texts: Sequence[Text], rounds: int, requests: int, seed: int) -> list[list[int]]:
    """Positions in `texts` of the requests of each round, [R][requests], shortest first.

    Each round takes one text from each of `requests` equally full ranges of length (in characters). With plain draws
    the medians of rounds of ten would differ by the luck of the lengths; so, only the machine changes between rounds.

    Args:
        texts: At least one.
        rounds: R.
        requests: In a round; texts repeat where there are fewer.
        seed: Of the draws.
    """
    lengths = [len(text) if isinstance(text, str) else sum(map(len, text)) for text in texts]
    by_length = sorted(range(len(texts)), key=lengths.__getitem__)
    chance = random.Random(seed)
    width = len(texts) / requests
    return [[by_length[int((stratum + chance.random()) * width)] for stratum in range(requests)] for _ in range(rounds)]
