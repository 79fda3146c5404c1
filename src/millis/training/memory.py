"""Memory that a training gives back is kept for its next step.

A step allocates and frees the same large blocks over and over: the gradient of 30,522 embeddings of 384 has 47 MB. What
is past 32 MB the C library returns to the system and asks for again, and the system clears every page of it. Where
embeddings are frozen few blocks are that large, and little changes.
`mallopt(3)` has the parameters; a C library without them (musl, macOS, Windows) is left as it is.
"""

import ctypes
import platform

_TRIM_THRESHOLD, _MMAP_MAX = -1, -4
_NEVER = 2**31 - 1


def keep() -> bool:
    """From now on this process keeps what it frees; whether the C library can."""
    if platform.libc_ver()[0] != "glibc":
        return False
    library = ctypes.CDLL(None)
    return bool(library.mallopt(_MMAP_MAX, 0)) and bool(library.mallopt(_TRIM_THRESHOLD, _NEVER))
