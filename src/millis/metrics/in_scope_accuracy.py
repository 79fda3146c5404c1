"""In-scope accuracy: accuracy over the texts that do belong to one of the intents.

Source: Larson et al. 2019, "An Evaluation Dataset for Intent Classification and Out-of-Scope Prediction", which
reports it beside out-of-scope recall.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from millis.metrics._labels import OverScope
from millis.metrics._ratios import percentage


@dataclass(frozen=True)
class InScopeAccuracy(OverScope):
    """100 × (right answers) / (items) over items whose true label is in scope, in percent.

    An in-scope item that is answered as out of scope is wrong. nan where no item is in scope.
    """

    def statistics(self, answers: NDArray[np.int64], references: NDArray[np.int64]) -> NDArray[np.float64]:
        """(right and in scope, in scope), [N, 2]."""
        in_scope = references != self.out_of_scope
        return np.stack([(answers == references) & in_scope, in_scope], axis=1).astype(np.float64)

    def value(self, sums: NDArray[np.float64]) -> NDArray[np.float64]:
        """[..., 2] → [...]"""
        return percentage(sums[..., 0], sums[..., 1])
