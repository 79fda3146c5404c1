"""One file of compressed tensors: a short prefix, a JSON header, and the parts of each tensor, aligned.

    offset  bytes
    0       8      MILLISAR
    8       4      version, u32
    12      4      CRC-32 of the header as it lies
    16      8      length of the header, u64
    24      8      length of the whole file, u64
    32      ...    the header: JSON, deflated
            ...    parts, each at a multiple of `ALIGNMENT` from the end of the header

All little endian. The header lists for each tensor name, dtype, shape, encoding and its parts: dtype, count, filter,
codec, offset, bytes as stored, CRC-32. So one tensor is read without the others, all are decoded in parallel, a changed
byte is found where it is read, and nothing in it is ever executed.

A header is believed once it adds up (`check`), before anything is allocated for a tensor: the parts follow each other
to the end of the file, none holds more values than its tensor, and what all decode to is in proportion to the file.
"""

import mmap
import struct
import zlib
from collections.abc import Collection, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from math import prod
from pathlib import Path
from typing import Annotated, Any, Literal, NoReturn, cast, get_args

import msgspec
import numpy as np

from millis import schema
from millis.errors import MillisError, nearest
from millis.schema import Count
from millis.storage.cheapest import Rule, Stored, StoredPart, restore, store
from millis.storage.encodings import Array
from millis.storage.filters import Filter
from millis.store import atomic_file

MAGIC, VERSION = b"MILLISAR", 1
PREFIX = struct.Struct("<8sIIQQ")
ALIGNMENT = 64  # a cache line: values that are stored raw are used where they lie
HEADER_LIMIT = 1 << 24  # 16 MiB of JSON, inflated: some 25,000 tensors
# What an archive may decode to: 256 times its bytes, as weights with 1 in 1000 left do (a bit a value says where), or
# 64 MiB where that is more. Compression alone knows no bound: of zeros zstandard leaves a byte in 30,000.
GROWTH, ALWAYS = 256, 1 << 26

Dtype = Literal["|b1", "|i1", "|u1", "<i2", "<u2", "<f2", "<i4", "<u4", "<f4", "<i8", "<u8", "<f8"]
DTYPES = frozenset(get_args(Dtype))
Few = msgspec.Meta(max_length=32)


class Part(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What the header says of a part of a tensor; `offset` counts from the end of the header."""

    dtype: Dtype
    count: Count
    filter: str
    bits: Annotated[int, msgspec.Meta(ge=1, le=8)]
    codec: str
    offset: Count
    bytes: Count
    crc32: Annotated[int, msgspec.Meta(ge=0, lt=2**32)]


class Entry(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What the header says of a tensor."""

    name: str
    dtype: Dtype
    shape: Annotated[tuple[Count, ...], Few]
    encoding: str
    numbers: Annotated[dict[str, int], Few]
    parts: Annotated[dict[str, Part], Few]

    @property
    def bytes_before(self) -> int:
        """Of the tensor in memory."""
        return prod(self.shape) * np.dtype(self.dtype).itemsize

    @property
    def bytes_after(self) -> int:
        """Of its parts in the file."""
        return sum(part.bytes for part in self.parts.values())


def write(path: Path, tensors: Mapping[str, Array], rule: Rule) -> list[Entry]:
    """Write `tensors` to `path`, each in the way that `rule` finds cheapest.

    Returns:
        What the header says.

    Raises:
        MillisError: the file system refused (nothing is left behind), a dtype that archives do not hold, or tensors so
            empty that the archive would not be read.
    """
    entries, blobs, offset = [], [], 0
    for name, tensor in tensors.items():
        if tensor.dtype.str not in DTYPES:
            raise MillisError(f"tensor {name!r} is {tensor.dtype}; an archive holds {', '.join(sorted(DTYPES))}")
        stored = store(np.ascontiguousarray(tensor).reshape(tensor.shape), rule)
        parts = {}
        for key, part in stored.parts.items():
            parts[key] = _described(part, offset)
            blobs.append(part.data + bytes(-len(part.data) % ALIGNMENT))
            offset += len(blobs[-1])
        entries.append(Entry(name, cast(Dtype, tensor.dtype.str), tensor.shape, stored.encoding, stored.numbers, parts))
    check(entries, offset)
    header = zlib.compress(msgspec.json.encode(entries), 9)
    header += bytes(-(PREFIX.size + len(header)) % ALIGNMENT)
    total = PREFIX.size + len(header) + offset
    with atomic_file(path) as temporary, temporary.open("wb") as file:
        file.write(PREFIX.pack(MAGIC, VERSION, zlib.crc32(header), len(header), total))
        file.write(header)
        file.writelines(blobs)
    return entries


class Archive:
    """An archive on disk; opening it reads the header alone.

    Args:
        path: The file.

    Raises:
        MillisError: no file, not an archive, of a newer millis, cut short, or with a damaged header.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        if not path.is_file():
            raise MillisError(
                f"there is no archive at {path}. Name a file that `millis compress storage=archive` wrote"
            )
        with path.open("rb") as file:
            prefix = file.read(PREFIX.size)
            size = path.stat().st_size
            self._start, header = self._checked(prefix, file.read, size)
        try:
            entries = schema.decoded(_inflated(header), list[Entry])
            check(entries, size - self._start)
        except (ValueError, zlib.error, MillisError) as error:
            self._damaged(f"its header cannot be read ({error})", error)
        self.entries = {entry.name: entry for entry in entries}

    def __getitem__(self, name: str) -> Array:
        """One tensor; nothing else is read.

        Raises:
            MillisError: no such tensor, or its bytes are damaged.
        """
        entry = self._find(name)
        with self.path.open("rb") as file:
            blobs = {}
            for key, part in entry.parts.items():
                file.seek(self._start + part.offset)
                blobs[key] = file.read(part.bytes)
        return self._decode(entry, blobs)

    def read(self, names: Collection[str] | None = None, threads: int = 1) -> dict[str, Array]:
        """Many tensors, or all, decoded on `threads` threads.

        The file is mapped rather than read: what is stored raw is used where it lies in the file cache, and a change of
        it stays in this process. An archive is replaced by renaming another into its place, never written to.

        Raises:
            MillisError: as for one.
        """
        entries = [self._find(name) for name in names] if names is not None else list(self.entries.values())
        with self.path.open("rb") as file:
            whole = memoryview(mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_COPY))[self._start :]

        def decode(entry: Entry) -> Array:
            return self._decode(entry, {key: _slice(whole, part) for key, part in entry.parts.items()})

        return dict(zip((entry.name for entry in entries), _mapped(decode, entries, threads), strict=True))

    def _find(self, name: str) -> Entry:
        if name not in self.entries:
            raise MillisError(f"{self.path} has no tensor {name!r}{nearest(name, self.entries)}")
        return self.entries[name]

    def _decode(self, entry: Entry, blobs: Mapping[str, Any]) -> Array:
        for key, part in entry.parts.items():
            if len(blobs[key]) != part.bytes or zlib.crc32(blobs[key]) != part.crc32:
                self._damaged(f"tensor {entry.name!r} does not match its checksum")
        parts = {
            key: StoredPart(part.dtype, part.count, Filter(part.filter, part.bits), part.codec, blobs[key])
            for key, part in entry.parts.items()
        }
        try:
            return restore(Stored(entry.encoding, entry.numbers, parts), entry.shape, np.dtype(entry.dtype))
        except MillisError:
            raise
        except Exception as error:  # each codec has its own; a header that lies makes NumPy raise anything
            self._damaged(f"tensor {entry.name!r} cannot be decoded ({type(error).__name__}: {error})", error)

    def _checked(self, prefix: bytes, read: Any, size: int) -> tuple[int, bytes]:
        """Where parts begin, and the header."""
        if not prefix.startswith(MAGIC[: len(prefix)]) or not prefix:
            raise MillisError(
                f"{self.path} is not a millis archive: it begins with {prefix[:8]!r}, expected {MAGIC!r}. Name a "
                "file that `millis compress storage=archive` wrote"
            )
        if len(prefix) < PREFIX.size:
            self._damaged(f"it was cut short at {size} bytes")
        _, version, crc32, length, total = PREFIX.unpack(prefix)
        if version != VERSION:
            raise MillisError(
                f"{self.path} has archive version {version}, this millis reads {VERSION}: load it with the millis that "
                "wrote it, or make it again"
            )
        if size != total:
            how = "was cut short" if size < total else "has grown"
            self._damaged(f"it {how}: it has {size} bytes, its prefix says {total}")
        header: bytes = read(min(length, size))
        if len(header) != length or zlib.crc32(header) != crc32:
            self._damaged("its header does not match its checksum")
        return PREFIX.size + length, header

    def _damaged(self, how: str, error: Exception | None = None) -> NoReturn:
        raise MillisError(f"archive {self.path} is damaged: {how}. Copy or make it again") from error


def check(entries: Sequence[Entry], length: int) -> None:
    """A header against itself and the `length` bytes that follow it.

    Raises:
        MillisError: a name twice, parts that do not follow each other to the end, a part that is larger than its
            tensor, or tensors far larger than the file.
    """
    last, end, decoded, names = 0, 0, 0, set()  # where the last part ends, without and with what aligns the next
    for entry in entries:
        if entry.name in names:
            raise MillisError(f"tensor {entry.name!r} is there twice")
        names.add(entry.name)
        decoded += entry.bytes_before
        values = prod(entry.shape)
        for key, part in entry.parts.items():
            if part.offset != end or part.count > values:
                raise MillisError(
                    f"part {key!r} of tensor {entry.name!r} has {part.count} values at {part.offset}, expected at most "
                    f"{values} at {end}"
                )
            last = end + part.bytes
            end = last + -last % ALIGNMENT
    if not last <= length <= end:
        raise MillisError(f"its parts take {end} bytes, {length} are there")
    if decoded > (limit := max(GROWTH * length, ALWAYS)):
        raise MillisError(f"its tensors take {decoded} bytes, expected at most {limit} of a file as short")


def _described(part: StoredPart, offset: int) -> Part:
    return Part(
        dtype=cast(Dtype, part.dtype),
        count=part.length,
        filter=part.filter.name,
        bits=part.filter.bits,
        codec=part.codec,
        offset=offset,
        bytes=len(part.data),
        crc32=zlib.crc32(part.data),
    )


def _inflated(header: bytes) -> bytes:
    """The JSON; a few bytes that would fill the memory are refused."""
    inflater = zlib.decompressobj()
    text = inflater.decompress(header, HEADER_LIMIT)
    if not inflater.eof:
        raise ValueError(f"more than {HEADER_LIMIT} bytes, or cut short")
    return text


def _slice(whole: memoryview, part: Part) -> memoryview:
    return whole[part.offset : part.offset + part.bytes]


def _mapped(decode: Any, entries: list[Entry], threads: int) -> Iterable[Array]:
    if threads == 1:
        return map(decode, entries)
    with ThreadPoolExecutor(threads) as pool:
        return list(pool.map(decode, entries))
