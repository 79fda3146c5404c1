"""Block sparsity: a bit says whether a tile of the matrix holds anything; the tiles that do are kept whole."""

from collections.abc import Iterator

import numpy as np

from millis.storage.encodings import Array, Parts, patterns, rows_of

SIDES = (64, 32, 16, 8, 4)  # of a square tile; pruned blocks are 32 x 32 by default
LARGEST = 0.9  # of the dense bytes; above it the tiles are not worth it


def encode(array: Array) -> Parts | None:
    """`mask` [⌈tiles / 8⌉] and `values` [kept · side²], for the side that leaves least; None where none pays."""
    rows = rows_of(array)
    bytes_, side, kept = min(_candidates(rows), key=lambda candidate: candidate[0])
    if bytes_ > LARGEST * array.nbytes:
        return None
    tiles = _tiles(rows, side)
    return Parts({"mask": np.packbits(kept), "values": tiles[kept].reshape(-1)}, {"side": side})


def decode(parts: Parts, shape: tuple[int, ...], dtype: np.dtype) -> Array:
    """Inverse of `encode`."""
    side = parts.numbers["side"]
    if side not in SIDES:
        raise ValueError(f"tiles of {side}, expected one of {SIDES}")
    array = np.zeros(shape, dtype)
    rows, columns = rows_of(array).shape
    down, across = -(-rows // side), -(-columns // side)
    tiles = np.zeros((down, across, side, side), dtype)
    kept = np.unpackbits(parts.arrays["mask"], count=down * across).view(bool).reshape(down, across)
    tiles[kept] = parts.arrays["values"].reshape(-1, side, side)
    whole = tiles.swapaxes(1, 2).reshape(down * side, across * side)
    return np.ascontiguousarray(whole[:rows, :columns]).reshape(shape)


def _candidates(rows: Array) -> Iterator[tuple[float, int, Array]]:
    """(bytes, side, which tiles are kept [down, across])."""
    for side in SIDES:
        kept: Array = np.asarray(patterns(_tiles(rows, side)).any(axis=(2, 3)))
        yield kept.size / 8 + int(kept.sum()) * side * side * rows.dtype.itemsize, side, kept


def _tiles(rows: Array, side: int) -> Array:
    """[down, across, side, side]; zeros fill the last ones."""
    padded = np.pad(rows, [(0, -length % side) for length in rows.shape])
    down, across = (length // side for length in padded.shape)
    return np.ascontiguousarray(padded.reshape(down, side, across, side).swapaxes(1, 2))
