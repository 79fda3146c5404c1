"""Shares of sums in percent, for any number of resamples at once."""

import numpy as np
from numpy.typing import NDArray

Sums = NDArray[np.float64]


def percentage(part: Sums, whole: Sums) -> Sums:
    """100 × part / whole, nan where there is no whole, [...]."""
    share = np.divide(part, whole, out=np.full(np.shape(whole), np.nan), where=whole > 0)
    return np.asarray(100 * share)


def mean_percentage(part: Sums, whole: Sums) -> Sums:
    """100 × the mean of part / whole over the classes that have a whole, [..., C] → [...]."""
    present = whole > 0
    shares = np.divide(part, whole, out=np.zeros(whole.shape), where=present)
    return percentage(shares.sum(axis=-1), present.sum(axis=-1))
