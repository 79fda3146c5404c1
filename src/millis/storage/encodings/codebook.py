"""A codebook: the few distinct values that a tensor has, and the number of its own for each weight.

Exact as an encoding; `millis.storage.sharing` makes a tensor's values few (Deep Compression, 1510.00149, section 3).
"""

import numpy as np

from millis.storage.encodings import Array, Parts, patterns

MOST = 256  # values
SAMPLE = 4096  # weights that show at once that there are more


def encode(array: Array) -> Parts | None:
    """`codes` [n] of one byte and `values` [at most 256]; None for more values, or a range of integers."""
    flat = patterns(array.reshape(-1))
    most = MOST if array.dtype.itemsize > 1 else MOST // 2
    if len(np.unique(flat[:SAMPLE])) > most:
        return None
    values, codes = np.unique(flat, return_inverse=True)
    if len(values) > most or _is_range(values.view(array.dtype)):
        return None
    return Parts({"codes": codes.astype(np.uint8), "values": values.view(array.dtype)})


def decode(parts: Parts, shape: tuple[int, ...], dtype: np.dtype) -> Array:
    """Inverse of `encode`."""
    return parts.arrays["values"].take(parts.arrays["codes"]).reshape(shape)


def _is_range(values: Array) -> bool:
    """Integers so close together that counting from the least takes as few bits (`packed`)."""
    if values.dtype.kind not in "iu":
        return False
    return (int(values.max()) - int(values.min())).bit_length() <= (len(values) - 1).bit_length()
