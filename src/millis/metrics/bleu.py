"""BLEU: how many of a translation's words, pairs, triples and quadruples stand in its reference, as sacreBLEU has it.

Papineni et al. 2002, "BLEU: a Method for Automatic Evaluation of Machine Translation"; Post 2018 (1804.08771), whose
package tokenizes, so that numbers of different papers are of the same words. Answers and references are texts as people
read them, neither tokenized nor lower-cased.
"""

from dataclasses import dataclass
from functools import cache, lru_cache
from typing import Any, ClassVar, Literal

import numpy as np
from numpy.typing import NDArray

from millis.metrics._written import KEPT, Counted, OverTexts

ORDERS = 4


@dataclass(frozen=True)
class Bleu(OverTexts):
    """100 × brevity penalty × geometric mean of the precisions of 1- to 4-grams of the corpus.

    An n-gram counts as often as it stands in that reference which has it most often, and the length that answers are
    held against is that of the reference of the nearest length. Where no n-gram of an order is right, half of one
    counts, of the next such order a quarter. Undefined where all references are empty. An answer's own BLEU says
    little, and corpora are no means over answers: statistics are the counts.

    Args:
        case, eff, tok, smooth: sacreBLEU's signature, of which it is one; records carry it.
    """

    case: Literal["mixed"] = "mixed"
    eff: Literal["no"] = "no"
    tok: Literal["13a", "zh"] = "13a"
    smooth: Literal["exp"] = "exp"
    unit: ClassVar[str] = "BLEU"
    package: ClassVar[str] = "sacrebleu"
    columns: ClassVar[int] = 2 + 2 * ORDERS

    def counted(self, answer: str, right: tuple[str, ...]) -> Counted:
        """Words of the answer, of the nearest reference, then n-grams that are right, and all, of each order, [10]."""
        return _counted(self.tok, answer, right)

    def value(self, sums: NDArray[np.float64]) -> NDArray[np.float64]:
        """[..., 10] → [...]"""
        words, expected, right, every = np.split(sums, [1, 2, 2 + ORDERS], axis=-1)
        halves = np.where(right > 0, right, 0.5 ** np.cumsum(right == 0, axis=-1))
        precisions = np.divide(halves, every, out=np.zeros(every.shape), where=every > 0)
        with np.errstate(divide="ignore"):  # of an order without n-grams: log 0, which makes the whole 0
            mean = np.exp(np.log(precisions).mean(axis=-1))
        ratio = np.divide(expected, words, out=np.full(words.shape, np.inf), where=words > 0)[..., 0]
        brevity = np.exp(np.minimum(0.0, 1 - ratio))
        found = np.where(right.any(axis=-1), 100 * brevity * mean, 0.0)
        return np.where(expected[..., 0] > 0, found, np.nan)


@lru_cache(maxsize=KEPT)
def _counted(tok: str, answer: str, right: tuple[str, ...]) -> Counted:
    score = _scorer(tok).corpus_score([answer], [[text] for text in right])
    return (score.sys_len, score.ref_len, *score.counts, *score.totals)


@cache
def _scorer(tok: str) -> Any:
    from sacrebleu.metrics import BLEU

    return BLEU(tokenize=tok, force=True)  # never a warning that a text ends in a blank and a stop
