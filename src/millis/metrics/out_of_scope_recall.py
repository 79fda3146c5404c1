"""Out-of-scope recall: how many of the texts that belong to no intent are recognised as such.

Source: Larson et al. 2019, "An Evaluation Dataset for Intent Classification and Out-of-Scope Prediction", which
reports it beside in-scope accuracy.
"""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from millis.metrics._labels import out_of_scope_index


def out_of_scope_recall(predictions: NDArray[np.int64], references: NDArray[np.int64], out_of_scope: int) -> float:
    """100 × (right predictions) / (items) over items whose true label is out of scope, in percent.

    nan where no item is out of scope.

    Args:
        predictions: Predicted label indices [N].
        references: True label indices [N].
        out_of_scope: Index of the out-of-scope label.
    """
    outside = references == out_of_scope
    items = int(np.sum(outside))
    return 100 * int(np.sum((predictions == out_of_scope) & outside)) / items if items else float("nan")


def context(labels: Sequence[str]) -> dict[str, int]:
    """The further argument of the metric, from the label names.

    Raises:
        MillisError: no label is named as the out-of-scope one.
    """
    return {"out_of_scope": out_of_scope_index(labels)}
