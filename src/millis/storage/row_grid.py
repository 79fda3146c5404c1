"""Embedding tables of few bits: each row on a symmetric grid of its own, w = s · q, |q| ≤ 7 (4 bits) or 127 (8 bits).

A row of a table is read alone, so it can have a step of its own at 4 bytes a row, where a runtime's int8 tables have
one for all. Of the steps c · max|w| / (2^(b-1) - 1), c in `SHARES`, a row gets the one with the least Σ(w - s · q)²,
larger weights being cut to the grid's end. The runtime gets fp32 rows, which are those that the archive keeps in b bits
(`millis.storage.encodings.grid`): nothing is computed when a request comes.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from fnmatch import fnmatch

import numpy as np
from numpy.typing import NDArray

from millis.errors import MillisError
from millis.storage.encodings import Array
from millis.storage.encodings.grid import BITS, largest
from millis.storage.sharing import relative_error

SHARES = (1.0, 0.95, 0.9, 0.85, 0.8, 0.75, 0.7, 0.65, 0.6)


@dataclass(frozen=True)
class RowGrid:
    """Tables on a grid a row.

    Args:
        bits: 4 or 8.
        match: Patterns of tensor names; fp32 matrices among them are taken.
    """

    bits: int
    match: Sequence[str]

    def __post_init__(self) -> None:
        if self.bits not in BITS:
            raise MillisError(f"storage of tables with bits={self.bits}: expected 4 or 8")

    def describe(self) -> str:
        """`int4 tables`."""
        return f"int{self.bits} tables"

    def apply(self, tensors: Mapping[str, Array]) -> tuple[dict[str, Array], str]:
        """Put the matching tables on their grids.

        Raises:
            MillisError: no fp32 matrix matches: it is called otherwise, or quantization made integers of it.
        """
        matrices = [name for name, tensor in tensors.items() if tensor.dtype == np.float32 and tensor.ndim == 2]
        chosen = [name for name in matrices if any(fnmatch(name, pattern) for pattern in self.match)]
        if not chosen:
            raise MillisError(
                f"storage of tables matches {', '.join(self.match)}, which is no fp32 matrix of this artifact: it has "
                f"{', '.join(name.partition('#')[2] for name in matrices[:4]) or 'none'}. Name some in `match`, or "
                "keep tables in fp32 until they are stored: quantization.keep=['*embeddings*']"
            )
        made = {name: on_grid(tensors[name], self.bits) for name in chosen}
        errors = [relative_error(tensors[name], made[name]) for name in chosen]
        note = f"{len(chosen)} tables have {self.bits} bits: relative error {max(errors):.3f} at most"
        return {**tensors, **made}, note


def on_grid(table: NDArray[np.float32], bits: int) -> NDArray[np.float32]:
    """`table` [rows, columns] with every row on the best of its grids."""
    top = np.float32(largest(bits))
    peaks = np.abs(table).max(axis=1, keepdims=True)
    best, least = np.zeros_like(table), np.full((len(table), 1), np.inf, np.float32)
    for share in SHARES:
        steps = np.where(peaks > 0, peaks * np.float32(share) / top, np.float32(1))
        made = (np.rint(table / steps).clip(-top, top) + np.float32(0)) * steps  # no negative zeros
        error = np.square(made - table).sum(axis=1, keepdims=True)
        better = error < least
        best, least = np.where(better, made, best), np.where(better, error, least)
    return best
