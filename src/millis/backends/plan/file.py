"""The file of a plan: `MILLISN1`, the header's length (8 bytes, little-endian), the header (JSON), then the tensors.

The tensors begin at the next multiple of 64 bytes, and each lies at a multiple of 64 after that, so that the file is
mapped into memory and computed with as it is. Nothing in it is code.
"""

import mmap
import struct
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import msgspec
import numpy as np
from numpy.typing import NDArray

from millis import schema
from millis.backends.plan.steps import DTYPES, Plan, Tensor
from millis.errors import MillisError
from millis.storage.archived import SEPARATOR, archive_of, read_tensors
from millis.storage.encodings import Array

MAGIC = b"MILLISN1"
LINE = 64
LONGEST_HEADER = 2**26


class Mapped(NamedTuple):
    """A plan, and the bytes of its file, which are kept for as long as it runs.

    Args:
        plan: As the header says it: checked for form, not yet for sense.
        data: All bytes, [n] uint8, read-only.
        start: Where the tensors begin.
    """

    plan: Plan
    data: NDArray[np.uint8]
    start: int


def segment_path(folder: Path, position: int) -> Path:
    """Where the plan of a model's segment lies."""
    return folder / f"segment_{position}.plan"


def aligned(count: int) -> int:
    """The next multiple of 64."""
    return -(-count // LINE) * LINE


def placed(named: Sequence[tuple[str, NDArray[Any]]]) -> list[Tensor]:
    """Where each of the arrays goes, one after the other."""
    found, offset = [], 0
    for name, array in named:
        dtype = array.dtype.str[1:]
        assert dtype in DTYPES, dtype
        found.append(Tensor(name, dtype, list(array.shape), offset))  # type: ignore[arg-type]
        offset = aligned(offset + array.nbytes)
    return found


def write(path: Path, plan: Plan, arrays: Sequence[NDArray[Any]]) -> None:
    """Write `plan`, whose `tensors` are where `placed` puts `arrays`."""
    header = msgspec.json.encode(plan)
    begins = MAGIC + struct.pack("<Q", len(header)) + header
    with path.open("wb") as file:
        file.write(begins.ljust(aligned(len(begins)), b"\0"))
        for array in arrays:
            data = np.ascontiguousarray(array).astype(array.dtype.newbyteorder("<"), copy=False).tobytes()
            file.write(data.ljust(aligned(len(data)), b"\0"))


def read(path: Path, threads: int = 1) -> Mapped:
    """Map a plan's file; one that lies in an archive is decoded on `threads` threads.

    Raises:
        MillisError: it is missing, cut short, or no such file.
    """
    archive = archive_of(path)
    if archive is not None:
        return _joined(parsed(archive[path.name], str(path)), read_tensors(archive, path.name, threads))
    try:
        with path.open("rb") as file:
            data = np.frombuffer(mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ), np.uint8)
    except (OSError, ValueError) as error:  # a file of no bytes cannot be mapped
        raise MillisError(f"cannot read {path}: {error}. Make the artifact again") from error
    return parsed(data, str(path))


def take_apart(path: Path) -> dict[str, Array]:
    """The header under the file's name, and each tensor under `<file>#<place>.<name>`, for an archive."""
    plan, data, start = read(path)
    found: dict[str, Array] = {path.name: data[:start]}
    for place, tensor in enumerate(plan.tensors):
        begin = start + tensor.offset
        values = data[begin : begin + tensor.count * DTYPES[tensor.dtype]].view(np.dtype(tensor.dtype))
        found[f"{path.name}{SEPARATOR}{_key(place, tensor)}"] = values.reshape(tensor.shape)
    return found


def _joined(header: Mapped, tensors: Mapping[str, Array]) -> Mapped:
    """A file's bytes from its header and its tensors."""
    plan, begins, start = header
    ends = [tensor.offset + tensor.count * DTYPES[tensor.dtype] for tensor in plan.tensors]
    stored = sum(tensor.nbytes for tensor in tensors.values())
    if max(ends, default=0) > stored + LINE * len(ends):
        raise MillisError("the archived plan is damaged: it has more room than tensors. Make the artifact again")
    data = np.zeros(start + aligned(max(ends, default=0)), np.uint8)
    if len(begins) < start:
        raise MillisError("the archived plan is damaged: its header is cut short. Make the artifact again")
    data[:start] = begins[:start]
    for place, tensor in enumerate(plan.tensors):
        values = tensors.get(_key(place, tensor))
        if values is None or values.dtype.str[1:] != tensor.dtype or values.size != tensor.count:
            raise MillisError(f"the archived plan is damaged: {tensor.name} does not fit. Make the artifact again")
        begin = start + tensor.offset
        data[begin : begin + values.nbytes] = np.ascontiguousarray(values).reshape(-1).view(np.uint8)
    return Mapped(plan, data, start)


def _key(place: int, tensor: Tensor) -> str:
    """Of a tensor in an archive: names alone may be the same."""
    return f"{place}.{tensor.name}"


def parsed(data: NDArray[np.uint8], where: str) -> Mapped:
    """The plan that lies at the beginning of `data`.

    Args:
        data: The bytes of a file.
        where: What messages call it.

    Raises:
        MillisError: damaged, or of another version.
    """
    start = len(MAGIC) + 8
    if bytes(data[: len(MAGIC)]) != MAGIC or len(data) < start:
        raise MillisError(f"{where} is damaged: it does not begin as a plan does. Make the artifact again")
    (length,) = struct.unpack("<Q", bytes(data[len(MAGIC) : start]))
    if length > min(LONGEST_HEADER, len(data) - start):
        raise MillisError(
            f"{where} is damaged: its header of {length} bytes goes beyond its {len(data)}. Make the artifact again"
        )
    try:
        plan = schema.decoded(bytes(data[start : start + length]), Plan)
    except MillisError as error:
        raise MillisError(f"{where} is damaged or of another version: {error}. Make the artifact again") from error
    return Mapped(plan, data, aligned(start + length))
