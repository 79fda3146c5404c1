"""Slot F1: span F1 of the tags of texts that have a label too."""

from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from millis.metrics._labels import Kind
from millis.metrics.contract import Items, items
from millis.metrics.span_f1 import SpanF1


@dataclass(frozen=True)
class SlotF1(SpanF1):
    """As `SpanF1`, of each answer's second part."""

    judges: ClassVar[tuple[Kind, ...]] = ("label and tags",)

    def statistics(self, answers: Items, references: Items) -> NDArray[np.float64]:
        """Spans that are right, found and true, [N, 3]."""
        ours, actual = (items([tags for _, tags in values]) for values in (answers, references))
        return super().statistics(ours, actual)
