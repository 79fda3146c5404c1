"""Compressed sparse rows: the values that are not zero, how many each row has, and the gaps between them.

Gaps rather than column numbers, as in Deep Compression (Han et al. 2016, 1510.00149, section 2): zeros between two
values are few, so a gap fits a byte where a column does not, and small numbers compress. Departure: a gap beyond the
largest of its type widens the type instead of adding filler zeros.
"""

import numpy as np

from millis.storage.encodings import Array, Parts, narrow, patterns, rows_of

DENSEST = 0.5  # share of values that are not zero; above it a bitmask is always smaller: a gap takes 8 bits, its bit 1


def encode(array: Array) -> Parts | None:
    """`values` [k], `gaps` [k] (zeros before a value in its row), `counts` [rows]; None for denser tensors."""
    rows = rows_of(array)
    nonzero = patterns(rows) != 0
    if nonzero.mean() > DENSEST:
        return None
    row, column = nonzero.nonzero()
    before = np.concatenate([[-1], column[:-1]])
    before[np.flatnonzero(np.diff(row, prepend=-1))] = -1  # the first of its row
    counts = nonzero.sum(axis=1)
    return Parts({"values": rows[nonzero], "gaps": narrow(column - before - 1), "counts": narrow(counts)})


def decode(parts: Parts, shape: tuple[int, ...], dtype: np.dtype) -> Array:
    """Inverse of `encode`."""
    values, gaps, counts = parts.arrays["values"], parts.arrays["gaps"], parts.arrays["counts"].astype(np.int64)
    array = np.zeros(shape, dtype)
    ends = np.cumsum(gaps.astype(np.int64) + 1)  # columns, counted on from row to row
    starts = np.concatenate([[0], ends])[np.cumsum(counts) - counts]
    rows_of(array)[np.repeat(np.arange(len(counts)), counts), ends - np.repeat(starts, counts) - 1] = values
    return array
