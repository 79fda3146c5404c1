"""Dense: every value, in order."""

import numpy as np

from millis.storage.encodings import Array, Parts


def encode(array: Array) -> Parts:
    """`values` [n]."""
    return Parts({"values": array.reshape(-1)})


def decode(parts: Parts, shape: tuple[int, ...], dtype: np.dtype) -> Array:
    """Inverse of `encode`."""
    return parts.arrays["values"].reshape(shape)
