"""Span F1: how many spans are found with both their ends and their kind, the harmonic mean of precision and recall.

Sang and De Meulder 2003 (cs/0306050), section 2.4; micro-averaged over kinds, as seqeval has it.
"""

from collections import Counter
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from millis.metrics._ratios import percentage
from millis.metrics.contract import Items
from millis.metrics.tags import OverTags, parted, spans


@dataclass(frozen=True)
class SpanF1(OverTags):
    """100 × 2 · right / (found + true), in percent; undefined where there are no spans."""

    def statistics(self, answers: Items, references: Items) -> NDArray[np.float64]:
        """Spans that are right, found and true, [N, 3]."""
        known = [parted(tag) for tag in self.tags]
        rows = np.zeros((len(references), 3))
        for row, answer, reference in zip(rows, answers, references, strict=True):
            found, true = (Counter(spans([known[tag] for tag in tags])) for tags in (answer, reference))
            row[:] = (found & true).total(), found.total(), true.total()
        return rows

    def value(self, sums: NDArray[np.float64]) -> NDArray[np.float64]:
        """[..., 3] → [...]"""
        return percentage(2 * sums[..., 0], sums[..., 1] + sums[..., 2])
