"""chrF: how many of a translation's sequences of characters stand in its reference, as sacreBLEU has it.

Popović 2015, "chrF: character n-gram F-score for automatic MT evaluation", with β = 2 as in Popović 2016. It needs no
tokenizer, so one metric serves German compounds, Chinese and all else.
"""

from dataclasses import dataclass
from functools import cache, lru_cache
from typing import Any, ClassVar, Literal

import numpy as np
from numpy.typing import NDArray

from millis.metrics._written import KEPT, Counted, OverTexts

ORDERS = 6
BETA = 2  # recall weighs twice as much as precision


@dataclass(frozen=True)
class Chrf(OverTexts):
    """chrF2: 100 × (1 + β²)·P·R / (β²·P + R), P and R being means over the orders 1 to 6 of the corpus.

    Blanks do not count. Orders that no answer or no reference is long enough for are left out, and of several
    references that counts whose own chrF2 is the highest. Undefined where all references are empty.

    Args:
        case, eff, nc, nw, space: sacreBLEU's signature, of which it is one; records carry it.
    """

    case: Literal["mixed"] = "mixed"
    eff: Literal["yes"] = "yes"
    nc: Literal[6] = 6
    nw: Literal[0] = 0
    space: Literal["no"] = "no"
    unit: ClassVar[str] = "chrF2"
    package: ClassVar[str] = "sacrebleu"
    columns: ClassVar[int] = 3 * ORDERS

    def counted(self, answer: str, right: tuple[str, ...]) -> Counted:
        """n-grams of the answer, of the reference, and of both, for each order in turn, [18]."""
        return _counted(answer, right)

    def value(self, sums: NDArray[np.float64]) -> NDArray[np.float64]:
        """[..., 18] → [...]"""
        answered, expected, both = np.moveaxis(sums.reshape(*sums.shape[:-1], ORDERS, 3), -1, 0)
        there = (answered > 0) & (expected > 0)
        orders = np.maximum(there.sum(axis=-1), 1)
        precision, recall = (
            np.divide(both, all_of, out=np.zeros(both.shape), where=there).sum(axis=-1) / orders
            for all_of in (answered, expected)
        )
        whole = BETA**2 * precision + recall
        found = np.divide((1 + BETA**2) * precision * recall, whole, out=np.zeros(whole.shape), where=whole > 0)
        return np.where(expected[..., 0] > 0, 100 * found, np.nan)


@lru_cache(maxsize=KEPT)
def _counted(answer: str, right: tuple[str, ...]) -> Counted:
    # The package has no public way to them: its score of a corpus is the number alone.
    (counts,) = _scorer()._extract_corpus_statistics([answer], [[text] for text in right])
    return tuple(counts)


@cache
def _scorer() -> Any:
    from sacrebleu.metrics import CHRF

    return CHRF(char_order=ORDERS, word_order=0, beta=BETA)
