"""Two sets of answers to the same texts."""

import math

import numpy as np
from numpy.typing import NDArray


def standard_error(right: NDArray[np.bool_], before: NDArray[np.bool_]) -> float:
    """Of the difference in accuracy, in percentage points: 100 · √(b + c) / N (McNemar 1947).

    Args:
        right, before: Which texts each answered rightly, [N]; b and c are those that only the one or the other did.
    """
    return 100 * math.sqrt(int((right != before).sum())) / len(right)
