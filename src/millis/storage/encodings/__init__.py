"""Ways to write a tensor down, each exact: one a file, and the file's name is what an archive calls it.

A file has two functions. `encode(array)` takes a tensor apart into flat arrays and a few integers, or returns None
where its idea does not apply; `decode(parts, shape, dtype)` puts the very same bits together again, negative zeros and
NaNs included. Adding an encoding is adding a file: nothing here lists them.

What an encoding leaves (values, positions, codes) is packed and compressed afterwards, part by part, by
`millis.storage.filters` and `millis.storage.codecs`; `millis.storage.cheapest` picks among all of them.
"""

import importlib
import pkgutil
from functools import cache
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from millis.errors import MillisError

Array = NDArray[Any]


class Parts(NamedTuple):
    """A tensor taken apart.

    Args:
        arrays: Name → flat array, [n].
        numbers: What else decoding needs, such as a block's rows and columns.
    """

    arrays: dict[str, Array]
    numbers: dict[str, int] = {}  # noqa: RUF012 - never changed


@cache
def names() -> tuple[str, ...]:
    """The encodings that have a file here; `dense`, which always applies, first."""
    found = sorted(module.name for module in pkgutil.iter_modules(__path__))
    return ("dense", *(name for name in found if name != "dense"))


def module(name: str) -> Any:
    """The file of the encoding `name`.

    Raises:
        MillisError: no such encoding; only millis' own files are ever imported for a name read from an archive.
    """
    if name not in names():
        raise MillisError(
            f"encoding {name!r} is unknown; expected one of {', '.join(names())}. Load the archive with the "
            "millis that wrote it, or make it again"
        )
    return importlib.import_module(f"{__name__}.{name}")


def rows_of(array: Array) -> Array:
    """A tensor as a matrix [rows, columns]: the first axis against all others; fewer than two axes make one row."""
    return array.reshape(1, -1) if array.ndim < 2 else array.reshape(array.shape[0], -1)


def patterns(array: Array) -> Array:
    """The bits of each value as an unsigned integer, same shape: -0.0 is not 0 there, and a NaN equals itself."""
    return array.view(np.dtype(f"u{array.dtype.itemsize}"))


def narrow(values: Array) -> Array:
    """Integers of at least 0 in the smallest unsigned type that holds the largest."""
    return values.astype(np.min_scalar_type(int(values.max(initial=0))))
