"""Two sets of answers to the same texts."""

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray


def standard_error(right: NDArray[Any], before: NDArray[Any]) -> float:
    """Of the difference in accuracy, in percentage points: 100 · √(b + c) / N (McNemar 1947).

    Args:
        right, before: Which texts each answered rightly, [N]; b and c are those that only the one or the other did. Of
            several models at once the share of them that did, 0 to 1: then b + c is the sum of squared differences.
    """
    return 100 * math.sqrt(float(np.square(right.astype(np.float64) - before).sum())) / len(right)
