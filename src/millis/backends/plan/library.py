"""The compiled part: which instruction sets it has here, and its functions, by ctypes.

It is built when millis is installed (`native/build.py`), with the kernels of every instruction set in it, and picks
those that the processor has. It does not know Python, so that one build serves every version of it.
"""

import ctypes
import os
import sys
from functools import cache
from pathlib import Path
from typing import Any

from millis.backends.plan.sources import fingerprint
from millis.errors import MillisError, nearest

SETS = {"portable": 0, "avx2": 1, "avx512_vnni": 2}  # slowest first
FORCED = "MILLIS_INSTRUCTIONS"  # an environment variable: for tests and comparisons
PATH = Path(__file__).parent / f"millis_native{'.dylib' if sys.platform == 'darwin' else '.so'}"
SOURCES = Path(__file__).parents[4] / "native"  # of a checkout; a wheel has none, and its library is made with it
AGAIN = "with a C++ compiler (Debian: apt-get install g++), pip install --force-reinstall --no-deps millis"

_FLOATS, _BYTES, _COUNT = ctypes.c_void_p, ctypes.c_void_p, ctypes.c_int64
_SIGNATURES: dict[str, tuple[Any, list[Any]]] = {
    "millis_sources": (ctypes.c_int64, []),
    "millis_has": (ctypes.c_int, [ctypes.c_int]),
    "millis_open": (
        ctypes.c_void_p,
        [_BYTES, _COUNT, ctypes.c_void_p, _COUNT, ctypes.c_int, _COUNT, ctypes.c_char_p, _COUNT],
    ),
    "millis_close": (None, [ctypes.c_void_p]),
    "millis_run": (ctypes.c_int, [*[ctypes.c_void_p] * 5, _COUNT, _COUNT, _FLOATS, *[ctypes.c_void_p] * 2]),
    "millis_begin": (ctypes.c_void_p, [ctypes.c_void_p, _COUNT, ctypes.c_char_p, _COUNT]),
    "millis_end": (None, [ctypes.c_void_p]),
    "millis_read": (
        ctypes.c_int,
        [*[ctypes.c_void_p] * 2, _COUNT, _COUNT, ctypes.c_int, _FLOATS, *[ctypes.c_void_p] * 2],
    ),
    "millis_round_rows": (None, [ctypes.c_int, _FLOATS, *[_COUNT] * 3, _BYTES, _FLOATS, ctypes.c_void_p]),
    "millis_multiply": (
        None,
        [
            ctypes.c_int, _BYTES, _COUNT, _FLOATS, ctypes.c_void_p, *[_COUNT] * 3, _BYTES, _FLOATS, ctypes.c_void_p,
            _FLOATS, ctypes.c_int, _FLOATS, _COUNT,
        ],
    ),
    "millis_multiply_blocks": (
        None,
        [
            ctypes.c_int, _BYTES, _COUNT, _FLOATS, ctypes.c_void_p, *[_COUNT] * 4, _BYTES, *[_FLOATS] * 4, _COUNT,
        ],
    ),
    "millis_multiply_halves": (
        None,
        [ctypes.c_int, ctypes.c_int, _BYTES, _COUNT, *[_COUNT] * 3, _BYTES, _FLOATS, _FLOATS, _COUNT],
    ),
    "millis_round_head": (None, [ctypes.c_int, _FLOATS, _COUNT, _BYTES, _FLOATS]),
    "millis_multiply_bytes": (None, [ctypes.c_int, _FLOATS, *[_COUNT] * 4, _BYTES, _FLOATS, _COUNT]),
    "millis_activate": (None, [ctypes.c_int, _FLOATS, _COUNT, _COUNT]),
}  # fmt: skip


def missing() -> str | None:
    """What keeps the compiled part from running here; None where nothing does."""
    if not PATH.is_file():
        return f"the compiled part of millis is not installed: {AGAIN}"
    try:
        load()
    except MillisError as error:
        return str(error)
    return None


@cache
def load() -> Any:
    """The library, its functions typed.

    Raises:
        MillisError: it is missing, damaged, or of another millis.
    """
    try:
        library = ctypes.CDLL(str(PATH))
        for name, (result, arguments) in _SIGNATURES.items():
            function = getattr(library, name)
            function.restype, function.argtypes = result, arguments
    except (OSError, AttributeError) as error:
        raise MillisError(f"the compiled part of millis cannot be loaded ({error}): {AGAIN}") from error
    if SOURCES.is_dir() and library.millis_sources() != fingerprint(SOURCES):
        raise MillisError("the compiled part of millis was made of other sources than these: python native/build.py")
    return library


def identity() -> str | None:
    """What of it a latency depends on: its sources and the instructions that it takes here; None where it is not."""
    if missing() is not None:
        return None
    names = {number: name for name, number in SETS.items()}
    return f"{load().millis_sources():x} {names[chosen()]}"


def available() -> list[str]:
    """The instruction sets that this processor and the compiled part have, slowest first."""
    return [name for name, number in SETS.items() if load().millis_has(number)]


def chosen() -> int:
    """The number of the fastest of them, or of the one that `MILLIS_INSTRUCTIONS` names.

    Raises:
        MillisError: it names none, or one that is not here.
    """
    here = available()
    name = os.environ.get(FORCED) or here[-1]
    if name not in here:
        raise MillisError(
            f"{FORCED}={name} is not to be had on this processor: expected one of {', '.join(here)}"
            f"{nearest(name, here)}. Unset it to take the fastest"
        )
    return SETS[name]
