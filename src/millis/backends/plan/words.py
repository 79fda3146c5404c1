"""A plan as the compiled part reads it: one list of int64, in which every tensor is an offset that was checked.

`native/reading.cpp` reads it, and checks everything once more: what is refused here has a better message, what is not
refused there cannot be out of bounds.
"""

import struct
from typing import Any, get_args

import numpy as np
from numpy.typing import NDArray

from millis.backends.plan import steps
from millis.backends.plan.file import LINE, Mapped
from millis.backends.plan.packing import padded
from millis.backends.plan.steps import DTYPES, Matrix, Norm, Step, Table
from millis.errors import MillisError

VERSION = 2
NONE = -1
KINDS: tuple[type[Any], ...] = (
    steps.Embed, steps.Linear, steps.Attention, steps.AddNorm, steps.Pool, steps.Unfold, steps.Lstm, steps.Bag,
    steps.Give, steps.Take, steps.Drop, steps.PreNorm, steps.Gate, steps.Causal,
)  # fmt: skip
ACTIVATIONS: tuple[str, ...] = get_args(steps.Activation)
POOLINGS: tuple[str, ...] = get_args(steps.Pooling)
CACHES: tuple[str, ...] = get_args(steps.Cache)
MATRICES = ("fp32", "int8", "int4", "bf16")
TABLES = ("fp32", "int8", "bf16")
DTYPE = {"fp32": "f4", "bf16": "u2", "int8": "i1", "int4": "i1"}


def words(mapped: Mapped) -> NDArray[np.int64]:
    """The plan's numbers.

    Raises:
        MillisError: a tensor that does not lie in the file, or is not what a step computes with.
    """
    plan = mapped.plan
    found = [VERSION, len(plan.slots), len(plan.outputs), len(plan.steps)]
    for slot in (*plan.slots, *plan.outputs):
        found += [slot.width, slot.per == "text"]
    writer = _Writer(mapped)
    for step in plan.steps:
        found += writer.step(step)
    return np.array(found, np.int64)


class _Writer:
    def __init__(self, mapped: Mapped) -> None:
        self._tensors, self._start, self._size = mapped.plan.tensors, mapped.start, len(mapped.data)

    def step(self, step: Step) -> list[int]:
        """A step's record; what its kind does not have is 0 or -1."""
        common = [KINDS.index(type(step)), *self._slots(step), *_sizes(step)]
        table = step.table if isinstance(step, steps.Bag) else getattr(step, "words", None)
        parts = [*self._matrix(getattr(step, "matrix", None)), *self._table(table)]
        for name in ("positions", "types"):
            parts += self._table(getattr(step, name, None))
        norm = step.norm if isinstance(step, steps.Embed | steps.AddNorm | steps.PreNorm) else None
        return [*common, *parts, *self._norm(norm, getattr(step, "width", 0)), self._bias(step)]

    def _slots(self, step: Step) -> list[int]:
        read = step.base if isinstance(step, steps.Embed) else getattr(step, "source", None)
        return [_or_none(read), _or_none(getattr(step, "residual", None)), _or_none(getattr(step, "out", None))]

    def _bias(self, step: Step) -> int:
        if isinstance(step, steps.Bag):
            return self._offset(step.weights, "f4", step.table.rows)
        if isinstance(step, steps.AddNorm | steps.PreNorm):
            return self._offset(step.bias, "f4", padded(step.width))
        if isinstance(step, steps.Causal):
            return self._offset(step.frequencies, "f4", (step.size + 1) // 2)
        return NONE

    def _matrix(self, matrix: Matrix | None) -> list[int]:
        if matrix is None:
            return [0, 0, 0, 0, NONE, NONE, NONE]
        channels, kind, block = padded(matrix.outputs), MATRICES.index(matrix.kind), 0
        integers = matrix.kind in ("int8", "int4")
        if integers and matrix.scales is None:
            raise self._wrong("a matrix of integers lacks its scales")
        rows, scales = matrix.inputs, 1
        if matrix.kind == "bf16":
            rows = padded(matrix.inputs, 2)
        elif matrix.kind == "int8":
            rows = padded(matrix.inputs, 4)
        elif matrix.kind == "int4":
            block = matrix.block or 0
            if block == 0 or block % 8:
                raise self._wrong(f"a matrix has blocks of {matrix.block}, expected a multiple of 8")
            rows, scales = padded(matrix.inputs, 8) // 2, -(-matrix.inputs // block)
        return [
            matrix.inputs,
            matrix.outputs,
            kind,
            block,
            self._offset(matrix.weights, DTYPE[matrix.kind], rows * channels),
            self._offset(matrix.scales if integers else None, "f4", scales * channels),
            self._offset(matrix.bias, "f4", channels),
        ]

    def _table(self, table: Table | None) -> list[int]:
        if table is None:
            return [0, 0, 0, NONE, NONE]
        integers = table.kind == "int8"
        if integers and table.scales is None:
            raise self._wrong("a table of integers lacks its scales")
        return [
            table.rows,
            table.width,
            TABLES.index(table.kind),
            self._offset(table.values, DTYPE[table.kind], table.rows * padded(table.width)),
            self._offset(table.scales if integers else None, "f4", table.rows),
        ]

    def _norm(self, norm: Norm | None, width: int) -> list[int]:
        if norm is None:
            return [NONE, NONE, _bits(0.0)]
        ends = (self._offset(place, "f4", padded(width)) for place in (norm.gain, norm.shift))
        return [*ends, _bits(norm.epsilon)]

    def _offset(self, place: int | None, dtype: str, count: int) -> int:
        """Where a tensor begins in the file."""
        if place is None:
            return NONE
        if place >= len(self._tensors):
            raise self._wrong(f"tensor {place} is asked for, of {len(self._tensors)}")
        tensor = self._tensors[place]
        if (tensor.dtype, tensor.count) != (dtype, count):
            raise self._wrong(f"tensor {place} is {tensor.count} {tensor.dtype}, expected {count} {dtype}")
        offset = self._start + tensor.offset
        if tensor.offset % LINE or offset + count * DTYPES[dtype] > self._size:
            raise self._wrong(f"tensor {place} lies outside of the file")
        return offset

    @staticmethod
    def _wrong(what: str) -> MillisError:
        return MillisError(f"the plan is damaged: {what}. Make the artifact again")


def _sizes(step: Step) -> list[int]:
    """Width, count, choice, column, groups, number, padding, whether types are read."""
    width, count, choice, number = getattr(step, "width", 0), 0, 0, 0.0
    match step:
        case steps.Linear() | steps.Gate():
            choice = ACTIVATIONS.index(step.activation)
        case steps.Causal():
            width, count, choice, number = step.size, step.heads, CACHES.index(step.cache), step.scale
        case steps.Attention():
            width, count, choice, number = step.size, step.heads, int(step.keeps), step.scale
        case steps.Drop():
            count, number = step.heads, step.threshold
        case steps.Pool():
            choice, number = POOLINGS.index(step.pooling), step.floor
        case steps.Unfold():
            count = step.window
        case steps.Lstm():
            count, choice = step.hidden, int(step.backwards)
        case steps.Bag():
            width, choice = step.table.width, int(step.norm == "l2")
        case steps.Give():
            count = step.output
        case _:
            pass
    padding = _or_none(getattr(step, "padding", None))
    return [
        width, count, choice, getattr(step, "column", 0), getattr(step, "groups", 0), _bits(number), padding,
        getattr(step, "reads_types", False),
    ]  # fmt: skip


def _or_none(place: int | None) -> int:
    return NONE if place is None else place


def _bits(number: float) -> int:
    """The bits of a double."""
    bits: int = struct.unpack("<q", struct.pack("<d", number))[0]
    return bits
