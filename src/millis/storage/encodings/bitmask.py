"""A bit a value says whether it is zero; the others follow in order. The best for a third to two thirds of zeros."""

import numpy as np

from millis.storage.encodings import Array, Parts, patterns

DENSEST = 0.95  # share of values that are not zero: a mask costs 1 bit of 8 to 32


def encode(array: Array) -> Parts | None:
    """`mask` [⌈n / 8⌉], `values` [k]; None for denser tensors."""
    flat = array.reshape(-1)
    nonzero = patterns(flat) != 0
    if nonzero.mean() > DENSEST:
        return None
    return Parts({"mask": np.packbits(nonzero), "values": flat[nonzero]})


def decode(parts: Parts, shape: tuple[int, ...], dtype: np.dtype) -> Array:
    """Inverse of `encode`."""
    array = np.zeros(shape, dtype)
    mask = np.unpackbits(parts.arrays["mask"], count=array.size).view(bool)
    array.reshape(-1)[mask] = parts.arrays["values"]
    return array
