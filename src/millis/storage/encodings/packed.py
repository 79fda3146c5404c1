"""Integers of a narrow range: their distance from the least, in one byte at most; 4-bit values then fit two a byte."""

import numpy as np

from millis.storage.encodings import Array, Parts, patterns

WIDEST = 255  # largest minus least


def encode(array: Array) -> Parts | None:
    """`codes` [n] of one byte, which `millis.storage.filters` packs to the bits they need; None for floats, and for
    integers that spread wider or are bytes and need all 8 bits."""
    if array.dtype.kind not in "iub":
        return None
    flat = patterns(array.reshape(-1)) if array.dtype.kind == "b" else array.reshape(-1)
    low, high = flat.min(), flat.max()
    spread = int(high) - int(low)
    if spread > (WIDEST if array.dtype.itemsize > 1 else WIDEST // 2):
        return None
    codes = patterns(flat - low).astype(np.uint8)  # may wrap around in its own type, which unsigned is what is meant
    return Parts({"codes": codes}, {"low": int(low)})


def decode(parts: Parts, shape: tuple[int, ...], dtype: np.dtype) -> Array:
    """Inverse of `encode`."""
    wide = np.dtype("u1") if dtype.kind == "b" else dtype
    codes = parts.arrays["codes"].astype(f"u{wide.itemsize}").view(wide)
    array: Array = (codes + np.array(parts.numbers["low"], wide)).view(dtype)
    return array.reshape(shape)
