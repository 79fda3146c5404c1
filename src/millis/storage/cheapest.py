"""How a tensor is stored: the cheapest of all encodings, filters and codecs that apply, by what was measured on it.

The rule: of everything that applies, the least of

    stored bytes / bandwidth + seconds to decode

that is, the time until the tensor is there, read from a medium of `bandwidth_mb_per_s`. A slow medium (or a small
number, where bytes are dear) makes small win; a fast one makes quick to decode win. Filters and codecs are tried on a
sample of each part; the best of them is then timed on all of it, and must beat the bytes as they are: a sample lies in
the processor's cache and seems quicker to decode than the whole is. What is tried later must be `MARGIN` cheaper than
what was found before.
"""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, NamedTuple

import numpy as np

from millis.errors import MillisError
from millis.storage import codecs, encodings, filters
from millis.storage.encodings import Array, Parts
from millis.storage.filters import Filter

SAMPLE_BYTES, SAMPLE_PIECES = 1 << 16, 4  # of a part: enough for its statistics, a moment for the slowest codec
TRIES = 3  # timings of each decoding, of which the least counts; each into memory of its own, as when a model is loaded
MARGIN = 0.02


@dataclass(frozen=True)
class Rule:
    """What is weighed, and what may be used.

    Args:
        bandwidth_mb_per_s: Of the medium that archives are read from, in 10^6 bytes a second.
        codecs: Which codecs may be used beside `raw`, in the order in which they are tried.

    Raises:
        MillisError: a bandwidth that is not positive, or a codec that is unknown or not installed.
    """

    bandwidth_mb_per_s: float = 200.0
    codecs: tuple[str, ...] = ("zstd", "lz4", "zlib")

    def __post_init__(self) -> None:
        if not self.bandwidth_mb_per_s > 0:
            raise MillisError(
                f"storage.bandwidth_mb_per_s={self.bandwidth_mb_per_s}: expected a positive number, in MB a second"
            )
        object.__setattr__(self, "codecs", ("raw", *(name for name in self.codecs if name != "raw")))
        for name in self.codecs:
            codecs.codec(name)

    def seconds(self, stored_bytes: float, decode_seconds: float) -> float:
        """The cost that is minimised."""
        return stored_bytes / (self.bandwidth_mb_per_s * 1e6) + decode_seconds


class StoredPart(NamedTuple):
    """A part as it lies in an archive."""

    dtype: str
    length: int
    filter: Filter
    codec: str
    data: Any  # bytes


class Stored(NamedTuple):
    """A tensor as it lies in an archive."""

    encoding: str
    numbers: dict[str, int]
    parts: dict[str, StoredPart]


def store(array: Array, rule: Rule) -> Stored:
    """Write a tensor down in the way that `rule` finds cheapest."""
    best, least = None, np.inf
    for name in encodings.names() if array.size else ("dense",):
        module = encodings.module(name)
        parts: Parts | None = module.encode(array)
        if parts is None:
            continue
        stored = {part: _cheapest(flat, rule) for part, flat in parts.arrays.items()}
        seconds = _time(partial(module.decode, parts, array.shape, array.dtype))
        seconds += sum(cost for _, cost in stored.values())
        if seconds < least * (1 - MARGIN):
            best, least = Stored(name, parts.numbers, {part: made for part, (made, _) in stored.items()}), seconds
    assert best is not None  # dense always applies
    return best


def restore(stored: Stored, shape: Sequence[int], dtype: np.dtype) -> Array:
    """Inverse of `store`.

    Raises:
        Exception: of whatever kind, where the data is damaged.
    """
    arrays = {}
    for name, part in stored.parts.items():
        kind = np.dtype(part.dtype)
        expected = filters.stored_bytes(part.filter, kind, part.length)
        data = np.frombuffer(codecs.codec(part.codec).decompress(part.data, expected), np.uint8)
        if data.size != expected:
            raise ValueError(f"{name} has {data.size} bytes, expected {expected}")
        arrays[name] = filters.undo(part.filter, data, kind, part.length)
    array: Array = encodings.module(stored.encoding).decode(Parts(arrays, stored.numbers), tuple(shape), dtype)
    if array.shape != tuple(shape) or array.dtype != dtype:
        raise ValueError(f"decoded to {array.dtype} {array.shape}, expected {dtype} {tuple(shape)}")
    return array


def _cheapest(flat: Array, rule: Rule) -> tuple[StoredPart, float]:
    """A part in the filter and codec that its sample finds best, or as it is; with the seconds until it is there."""
    sample = _sample(flat)
    ways = ((used, name) for used in filters.candidates(flat) for name in rule.codecs)
    best, least = None, np.inf
    for used, name in ways:
        seconds = _packed(sample, used, name, rule)[1]
        if seconds < least * (1 - MARGIN):
            best, least = (used, name), seconds
    assert best is not None  # raw is always among the codecs
    as_it_is = _packed(flat, Filter(), "raw", rule)
    if best == (Filter(), "raw"):
        return as_it_is
    packed = _packed(flat, *best, rule)
    return packed if packed[1] < as_it_is[1] * (1 - MARGIN) else as_it_is


def _packed(flat: Array, used: Filter, name: str, rule: Rule) -> tuple[StoredPart, float]:
    """A part so filtered and compressed, and the seconds until it is there."""
    data, codec = filters.apply(used, flat), codecs.codec(name)
    packed = codec.compress(data)

    def decode() -> Array:
        whole = np.frombuffer(codec.decompress(packed, data.size), np.uint8)
        return filters.undo(used, whole, flat.dtype, flat.size)

    seconds = rule.seconds(len(packed), _time(decode))
    return StoredPart(flat.dtype.str, flat.size, used, name, bytes(packed)), seconds


def _sample(flat: Array) -> Array:
    """Evenly spaced pieces of a long array; a short one whole."""
    if flat.nbytes <= SAMPLE_BYTES:
        return flat
    length = SAMPLE_BYTES // SAMPLE_PIECES // flat.dtype.itemsize
    starts = np.linspace(0, flat.size - length, SAMPLE_PIECES).astype(int)
    return np.concatenate([flat[start : start + length] for start in starts])


def _time(call: Callable[[], Any]) -> float:
    """Least seconds of a few calls, in this thread's own time: other processes on the CPU do not count."""
    taken, results = [], []
    for _ in range(TRIES):
        start = time.thread_time()
        results.append(call())
        taken.append(time.thread_time() - start)
    return min(taken)
