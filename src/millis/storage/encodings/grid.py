"""Floats on a grid of their own row: w = s · q with |q| ≤ 7 (4 bits) or 127 (8 bits), s fp32, the product rounded once.

What `millis.storage.row_grid` makes of embedding tables, and symmetric quantization in general, where a row's largest
weight lies on the grid's end. The step is found again from that weight, and every value is checked: a tensor that only
nearly lies on such grids is not taken.
"""

import numpy as np
from numpy.typing import NDArray

from millis.storage.encodings import Array, Parts, patterns, rows_of

BITS = (4, 8)
ULPS = 2  # s = peak / largest may round to a neighbour of the step that made the peak


def largest(bits: int) -> int:
    """The largest integer of a symmetric grid: 2^(bits-1) - 1."""
    return (1 << (bits - 1)) - 1


def encode(array: Array) -> Parts | None:
    """`codes` [n] (q + largest, one byte each) and `steps` [rows]; None for anything that is not on such a grid."""
    if array.dtype != np.float32 or array.ndim < 2:
        return None
    rows = rows_of(array)
    peaks = np.abs(rows).max(axis=1)
    if not np.isfinite(peaks).all():
        return None
    for bits in BITS:
        steps = _steps(rows, peaks, largest(bits))
        if steps is not None:
            codes = (_integers(rows, steps) + largest(bits)).astype(np.uint8)
            return Parts({"codes": codes.reshape(-1), "steps": steps}, {"bits": bits})
    return None


def decode(parts: Parts, shape: tuple[int, ...], dtype: np.dtype) -> Array:
    """Inverse of `encode`."""
    if parts.numbers["bits"] not in BITS:
        raise ValueError(f"{parts.numbers['bits']} bits, expected one of {BITS}")
    steps = parts.arrays["steps"]
    integers = parts.arrays["codes"].reshape(len(steps), -1).astype(np.float32)
    integers -= largest(parts.numbers["bits"])
    integers *= steps[:, None]
    return integers.reshape(shape)


def _steps(rows: Array, peaks: Array, top: int) -> NDArray[np.float32] | None:
    """The step of each row, [rows]; None where some row has none."""
    first = (peaks / np.float32(top)).astype(np.float32)
    first[peaks == 0] = 1
    found = first.copy()
    open_ = np.arange(len(rows))
    for away in sorted(range(-ULPS, ULPS + 1), key=abs):
        steps = first[open_]
        for _ in range(abs(away)):
            steps = np.nextafter(steps, np.float32(np.inf if away > 0 else 0), dtype=np.float32)
        with np.errstate(all="ignore"):
            made = _integers(rows[open_], steps) * steps[:, None]
        exact = (patterns(made) == patterns(rows[open_])).all(axis=1)
        found[open_[exact]] = steps[exact]
        open_ = open_[~exact]
        if not len(open_):
            return found
    return None


def _integers(rows: Array, steps: Array) -> NDArray[np.float32]:
    integers: NDArray[np.float32] = np.rint(rows / steps[:, None]) + np.float32(0)  # no negative zeros
    return integers
