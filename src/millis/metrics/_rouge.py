"""What metrics of summaries share: Lin 2004, "ROUGE: A Package for Automatic Evaluation of Summaries", as rouge_score.

Words are taken as they are, without stemming: the default of rouge_score, of `evaluate` and of files2rouge, by which
BART and SciTLDR report. PEGASUS and the example scripts of transformers stem, which moves results by points. Of several
references that counts whose F is the highest, as rouge_score has it; SciTLDR's script (Cachola et al. 2020, 2004.15011)
takes all three of the reference that is best in ROUGE-1, which is less of the other two. ROUGE is of English: words are
made of the letters a to z and of digits.
"""

from dataclasses import dataclass
from functools import cache, lru_cache
from typing import Any, ClassVar, Literal

import numpy as np
from numpy.typing import NDArray

from millis.metrics._ratios import percentage
from millis.metrics._written import KEPT, Counted, OverTexts


@dataclass(frozen=True)
class OverRouge(OverTexts):
    """The mean over texts of the F-measure of each, in percent; undefined where no reference has an English word.

    Args:
        stemmer: Of words; records carry it.
        rouge: What rouge_score calls the metric.
    """

    stemmer: Literal["none"] = "none"
    unit: ClassVar[str] = "%"
    package: ClassVar[str] = "rouge_score"
    columns: ClassVar[int] = 3
    rouge: ClassVar[str]

    def counted(self, answer: str, right: tuple[str, ...]) -> Counted:
        """(F, 1, whether a reference has a word), [3]."""
        return _counted(self.rouge, answer, right)

    def value(self, sums: NDArray[np.float64]) -> NDArray[np.float64]:
        """[..., 3] → [...]"""
        return np.where(sums[..., 2] > 0, percentage(sums[..., 0], sums[..., 1]), np.nan)


@lru_cache(maxsize=KEPT)
def _counted(rouge: str, answer: str, right: tuple[str, ...]) -> Counted:
    scorer = _scorer(rouge)
    best = scorer.score_multi(right, answer)[rouge].fmeasure
    return float(best), 1.0, float(any(map(_has_words, right)))


def _has_words(text: str) -> bool:
    return any(character.isascii() and character.isalnum() for character in text)


@cache
def _scorer(rouge: str) -> Any:
    from rouge_score.rouge_scorer import RougeScorer

    return RougeScorer([rouge], use_stemmer=False)
