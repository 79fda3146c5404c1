"""N:M sparsity: of every M consecutive values at most N are not zero (2:4: Mishra et al. 2021, 2104.08378, section 3).

N values a group and the place of each in its group: 2 bits for M = 4. Groups run along the inputs of a layer: the last
axis of a PyTorch weight, the first of an exported one.
"""

from typing import NamedTuple

import numpy as np

from millis.storage.encodings import Array, Parts, patterns, rows_of

SIZES = (4, 8)  # M


class _Found(NamedTuple):
    groups: Array  # [n / M, M]
    nonzero: Array  # same
    n: int
    first_axis: bool


def encode(array: Array) -> Parts | None:
    """`values` [groups · N] and `places` [groups · N]; None unless N ≤ M / 2 for an M of `SIZES` along an axis."""
    found = _find(array)
    if found is None:
        return None
    places = np.argsort(~found.nonzero, axis=1, kind="stable")[:, : found.n].astype(np.uint8)
    values = np.take_along_axis(found.groups, places.astype(np.intp), axis=1)
    numbers = {"n": found.n, "m": found.groups.shape[1], "first_axis": int(found.first_axis)}
    return Parts({"values": values.reshape(-1), "places": places.reshape(-1)}, numbers)


def decode(parts: Parts, shape: tuple[int, ...], dtype: np.dtype) -> Array:
    """Inverse of `encode`."""
    numbers = parts.numbers
    if numbers["m"] not in SIZES or not 1 <= numbers["n"] <= numbers["m"] // 2:
        raise ValueError(f"{numbers['n']} of {numbers['m']}, expected at most half of one of {SIZES}")
    places = parts.arrays["places"].reshape(-1, numbers["n"]).astype(np.intp)
    groups = np.zeros((len(places), numbers["m"]), dtype)
    np.put_along_axis(groups, places, parts.arrays["values"].reshape(places.shape), axis=1)
    if not numbers["first_axis"]:
        return groups.reshape(shape)
    return np.ascontiguousarray(groups.reshape(-1, shape[0]).T).reshape(shape)


def _find(array: Array) -> _Found | None:
    rows = rows_of(array)
    for first_axis, lines in ((False, rows), (True, rows.T)):
        for m in SIZES:
            if lines.shape[1] % m:
                continue
            groups = np.ascontiguousarray(lines).reshape(-1, m)
            nonzero = patterns(groups) != 0
            n = int(nonzero.sum(axis=1).max())
            if 1 <= n <= m // 2:
                return _Found(groups, nonzero, n, first_axis)
    return None
