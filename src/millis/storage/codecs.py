"""General-purpose compression by established libraries, behind one pair of calls a codec.

raw stores bytes as they are. zlib is Python's own. zstd (zstandard) compresses best and decodes 1 to 3 GB/s, lz4
decodes fastest and finds repetition alone. Decoding never trusts a size that the data claims: more than expected is
refused.
"""

import zlib
from collections.abc import Callable
from typing import Any, NamedTuple

from millis.errors import MillisError

ZLIB_LEVEL = 6  # of fp32 planes 9 leaves 0.3 % less and takes three times as long
ZSTD_LEVEL = 9  # of weights, which are nearly random, 19 leaves 0 to 2 % less and takes 30 times as long


class Codec(NamedTuple):
    """A way to compress.

    Args:
        compress: Bytes → bytes.
        decompress: (bytes, expected length) → bytes; raises anything where the data is damaged.
    """

    compress: Callable[[Any], Any]
    decompress: Callable[[Any, int], Any]


def codec(name: str) -> Codec:
    """The codec `name`.

    Raises:
        MillisError: no such codec, or its library is not installed.
    """
    if name not in _CODECS:
        raise MillisError(f"codec {name!r} is unknown; expected one of {', '.join(_CODECS)}")
    try:
        return _CODECS[name]()
    except ImportError as error:
        raise MillisError(f"codec {name!r} needs {error.name}: pip install 'millis[storage]'") from error


def names() -> tuple[str, ...]:
    """All codecs."""
    return tuple(_CODECS)


def _raw() -> Codec:
    return Codec(lambda data: data, lambda data, expected: data)


def _zlib() -> Codec:
    def decompress(data: Any, expected: int) -> bytes:
        stream = zlib.decompressobj()
        made = stream.decompress(data, expected + 1)
        if not stream.eof:
            raise ValueError("the stream goes on")
        return made

    return Codec(lambda data: zlib.compress(data, ZLIB_LEVEL), decompress)


def _zstd() -> Codec:
    import zstandard

    def compress(data: Any) -> bytes:
        return zstandard.ZstdCompressor(ZSTD_LEVEL, write_checksum=False).compress(data)

    def decompress(data: Any, expected: int) -> bytes:
        if zstandard.frame_content_size(data) != expected:
            raise ValueError("another length than expected")
        return zstandard.ZstdDecompressor().decompress(data)

    return Codec(compress, decompress)


def _lz4() -> Codec:
    from lz4 import block

    return Codec(
        lambda data: block.compress(data, mode="high_compression", store_size=False),
        lambda data, expected: block.decompress(data, uncompressed_size=expected),
    )


_CODECS: dict[str, Callable[[], Codec]] = {"raw": _raw, "zlib": _zlib, "zstd": _zstd, "lz4": _lz4}
