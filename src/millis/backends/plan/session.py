"""A plan that runs: features in, outputs out, in one call of the compiled part."""

import ctypes
import weakref
from collections.abc import Sequence
from typing import NoReturn

import numpy as np
from numpy.typing import NDArray

from millis.backends.plan import library
from millis.backends.plan.file import Mapped
from millis.backends.plan.steps import Linear, Slot, Step
from millis.backends.plan.words import words
from millis.backends.profile import Time
from millis.errors import MillisError
from millis.types import Features, Outputs

OUTSIDE_VOCABULARY, TOO_LONG, OUTSIDE_TYPES = 1, 2, 3
MESSAGE_BYTES = 500


class PlanSession:
    """A plan on its kernels: [B, S] arrays in, its outputs out. Asked from several threads, each has memory of its own.

    Args:
        mapped: The plan and its file.

    Raises:
        MillisError: the plan does not fit its file, the compiled part is missing, or the processor lacks the
            instructions that are forced (`millis.backends.plan.library`).
    """

    def __init__(self, mapped: Mapped) -> None:
        native, instructions, numbers = library.load(), library.chosen(), words(mapped)
        self._data = mapped.data  # is computed with where it is mapped
        message = ctypes.create_string_buffer(MESSAGE_BYTES)
        model = native.millis_open(
            self._data.ctypes.data, len(self._data), numbers.ctypes.data, len(numbers), instructions, message,
            MESSAGE_BYTES,
        )  # fmt: skip
        if not model:
            raise MillisError(f"the plan is damaged: {message.value.decode(errors='replace')}. Make the artifact again")
        self._model, self._run = model, native.millis_run
        self._times: int | None = None
        self._steps = mapped.plan.steps
        self._outputs: Sequence[Slot] = mapped.plan.outputs
        only = self._outputs[0]
        self._single = only.width if len(self._outputs) == 1 and only.per == "text" else 0
        weakref.finalize(self, native.millis_close, model)

    def __call__(self, features: Features) -> Outputs:
        """One array for each output.

        Raises:
            MillisError: an id, a type or a length that the model has no row for, or no memory.
        """
        ids, mask, types = (
            None if array is None else np.ascontiguousarray(array, np.int64)
            for array in (features.ids, features.mask, features.token_types)
        )
        assert ids is not None and mask is not None
        count, length = ids.shape
        if self._single:
            results = np.empty((count, self._single), np.float32)
            self._compute(ids, mask, types, results)
            return (results,)
        shapes = [(count, *[length] * (slot.per == "token"), slot.width) for slot in self._outputs]
        ends = np.cumsum([int(np.prod(shape)) for shape in shapes])
        results = np.empty(ends[-1], np.float32)
        self._compute(ids, mask, types, results)
        parts = np.split(results, ends[:-1])
        return tuple(part.reshape(shape) for part, shape in zip(parts, shapes, strict=True))

    def times(self, features: Features) -> list[Time]:
        """What each step takes, microseconds; for one caller at a time."""
        taken = np.zeros(len(self._steps), np.int64)
        self._times = taken.ctypes.data
        try:
            self(features)
        finally:
            self._times = None
        named = [(f"{place} {_told(step)}", _kind(step)) for place, step in enumerate(self._steps)]
        return [(name, kind, float(each) / 1e3) for (name, kind), each in zip(named, taken, strict=True)]

    def _compute(
        self,
        ids: NDArray[np.int64],
        mask: NDArray[np.int64],
        types: NDArray[np.int64] | None,
        results: NDArray[np.float32],
    ) -> None:
        wrong = ctypes.c_int64()
        code = self._run(
            self._model,
            ids.__array_interface__["data"][0],
            mask.__array_interface__["data"][0],
            None if types is None else types.__array_interface__["data"][0],
            *ids.shape,
            results.__array_interface__["data"][0],
            self._times,
            ctypes.byref(wrong),
        )
        if code:
            _refuse(code, wrong.value)


def _kind(step: Step) -> str:
    return "MatMul" if isinstance(step, Linear) else type(step).__name__


def _told(step: Step) -> str:
    """`linear 384 x 1536`, `attention`."""
    matrix = getattr(step, "matrix", None)
    name = type(step).__name__.lower()
    return name if matrix is None else f"{name} {matrix.inputs} x {matrix.outputs} {matrix.kind}"


def _refuse(code: int, wrong: int) -> NoReturn:
    reasons = {
        OUTSIDE_VOCABULARY: f"token id {wrong} is outside of the model's vocabulary: use the artifact's own tokenizer",
        TOO_LONG: f"{wrong} tokens are more than the model has positions for: cut them at the manifest's max_length",
        OUTSIDE_TYPES: f"token type {wrong} is none of the model's: expected 0, or 1 for the second text of a pair",
    }
    raise MillisError(
        reasons.get(code, "there is not enough memory for the request. Ask for fewer or shorter texts at once")
    )
