"""In-scope accuracy: accuracy over the texts that do belong to one of the intents.

Source: Larson et al. 2019, "An Evaluation Dataset for Intent Classification and Out-of-Scope Prediction", which
reports it beside out-of-scope recall.
"""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from millis.metrics._labels import out_of_scope_index


def in_scope_accuracy(predictions: NDArray[np.int64], references: NDArray[np.int64], out_of_scope: int) -> float:
    """100 × (right predictions) / (items) over items whose true label is in scope, in percent.

    An in-scope item that is predicted out of scope is wrong. nan where no item is in scope.

    Args:
        predictions: Predicted label indices [N].
        references: True label indices [N].
        out_of_scope: Index of the out-of-scope label.
    """
    in_scope = references != out_of_scope
    items = int(np.sum(in_scope))
    return 100 * int(np.sum((predictions == references) & in_scope)) / items if items else float("nan")


def context(labels: Sequence[str]) -> dict[str, int]:
    """The further argument of the metric, from the label names.

    Raises:
        MillisError: no label is named as the out-of-scope one.
    """
    return {"out_of_scope": out_of_scope_index(labels)}
