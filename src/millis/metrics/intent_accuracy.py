"""Intent accuracy: how many labels are right, of texts whose words have tags too."""

from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from millis.metrics._labels import Kind
from millis.metrics.accuracy import Accuracy
from millis.metrics.contract import Items


@dataclass(frozen=True)
class IntentAccuracy(Accuracy):
    """As `Accuracy`, of each answer's first part."""

    judges: ClassVar[tuple[Kind, ...]] = ("label and tags",)

    def statistics(self, answers: Items, references: Items) -> NDArray[np.float64]:
        """(right, 1), [N, 2]."""
        return super().statistics(
            *(np.array([label for label, _ in values], np.int64) for values in (answers, references))
        )
