"""What lies outside of an application's scope, and how sure it has to be of what lies within."""

from collections.abc import Sequence

import numpy as np

from millis.metrics._labels import OUT_OF_SCOPE

__all__ = ["OUTSIDE", "least_confidence"]

OUTSIDE = frozenset(OUT_OF_SCOPE)
"""Labels of what an application does nothing about; data may have several of them."""


def least_confidence(probabilities: Sequence[float], acceptance: float) -> float:
    """A threshold that accepts a share of the messages in scope, or the next larger one that there is.

    Args:
        probabilities: Of the intent that each would be accepted with; 0 where it would be declined in any case.
        acceptance: The share, above 0, up to 1.
    """
    return float(np.quantile(probabilities, 1 - acceptance, method="lower"))
