"""Out-of-scope recall: how many of the texts that belong to no intent are recognised as such.

Source: Larson et al. 2019, "An Evaluation Dataset for Intent Classification and Out-of-Scope Prediction", which
reports it beside in-scope accuracy.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from millis.metrics._labels import OverScope
from millis.metrics._ratios import percentage


@dataclass(frozen=True)
class OutOfScopeRecall(OverScope):
    """100 × (right answers) / (items) over items whose true label is out of scope, in percent.

    nan where no item is out of scope.
    """

    def statistics(self, answers: NDArray[np.int64], references: NDArray[np.int64]) -> NDArray[np.float64]:
        """(recognised, out of scope), [N, 2]."""
        outside = references == self.out_of_scope
        return np.stack([(answers == self.out_of_scope) & outside, outside], axis=1).astype(np.float64)

    def value(self, sums: NDArray[np.float64]) -> NDArray[np.float64]:
        """[..., 2] → [...]"""
        return percentage(sums[..., 0], sums[..., 1])
