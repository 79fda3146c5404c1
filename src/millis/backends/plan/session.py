"""A plan that runs: features in, outputs out, in one call of the compiled part."""

import ctypes
import math
import weakref
from collections.abc import Sequence
from typing import Any, NoReturn, TypeAlias

import numpy as np
from numpy.typing import NDArray

from millis.backends.plan import library
from millis.backends.plan.file import Mapped
from millis.backends.plan.steps import Linear, Slot, Step, Take
from millis.backends.plan.words import words
from millis.backends.profile import Time
from millis.errors import MillisError
from millis.types import Features, Outputs

Ids: TypeAlias = NDArray[np.int64]
States: TypeAlias = NDArray[np.float32]
OUTSIDE_VOCABULARY, TOO_LONG, OUTSIDE_TYPES, _, NO_STATES = 1, 2, 3, 4, 5
NO_THREADS = "no threads"  # how the compiled part begins to say so
MESSAGE_BYTES = 500


class PlanSession:
    """A plan on its kernels: [B, S] arrays in, its outputs out. Asked from several threads, each has memory of its own.

    Args:
        mapped: The plan and its file.
        threads: For one long request's arithmetic; of several requests at once, one has them.

    Raises:
        MillisError: the plan does not fit its file, the compiled part is missing, or the processor lacks the
            instructions that are forced (`millis.backends.plan.library`).
    """

    def __init__(self, mapped: Mapped, threads: int = 1) -> None:
        native, instructions, numbers = library.load(), library.chosen(), words(mapped)
        self._data = mapped.data  # is computed with where it is mapped
        message = ctypes.create_string_buffer(MESSAGE_BYTES)
        model = native.millis_open(
            self._data.ctypes.data,
            len(self._data),
            numbers.ctypes.data,
            len(numbers),
            instructions,
            threads,
            message,
            MESSAGE_BYTES,
        )
        if not model:
            said = message.value.decode(errors="replace")
            if said.startswith(NO_THREADS):
                raise MillisError(f"backend=native cannot start {threads} threads here ({said}): ask for fewer")
            raise MillisError(f"the plan is damaged: {said}. Make the artifact again")
        self._model, self._run = model, native.millis_run
        self._times: int | None = None
        self._steps = mapped.plan.steps
        self._outputs: Sequence[Slot] = mapped.plan.outputs
        only = self._outputs[0]
        self._single = only.width if len(self._outputs) == 1 and only.per == "text" else 0
        closing = weakref.finalize(self, native.millis_close, model)
        closing.atexit = False  # a process that ends needs no tidying, and a fork of one has not its threads

    def __call__(self, features: Features) -> Outputs:
        """One array for each output.

        Raises:
            MillisError: an id, a type or a length that the model has no row for, or no memory.
        """
        ids, mask = np.ascontiguousarray(features.ids, np.int64), np.ascontiguousarray(features.mask, np.int64)
        types = None if features.token_types is None else np.ascontiguousarray(features.token_types, np.int64)
        if self._single:  # the usual case, without the account of several outputs
            results = np.empty((len(mask), self._single), np.float32)
            self._compute(ids, mask, types, None, results)
            return (results,)
        return self._outputs_of(ids, mask, types, None)

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

    def _outputs_of(self, ids: Ids | None, mask: Ids, types: Ids | None, states: States | None) -> Outputs:
        count, length = mask.shape
        shapes = [(count, *[length] * (slot.per == "token"), slot.width) for slot in self._outputs]
        ends = np.cumsum([math.prod(shape) for shape in shapes])
        results = np.empty(ends[-1], np.float32)
        self._compute(ids, mask, types, states, results)
        parts = np.split(results, ends[:-1])
        return tuple(part.reshape(shape) for part, shape in zip(parts, shapes, strict=True))

    def _compute(
        self, ids: Ids | None, mask: Ids, types: Ids | None, states: States | None, results: NDArray[np.float32]
    ) -> None:
        for array in (ids, types):  # the compiled part knows no shapes
            if mask.ndim != 2 or (array is not None and array.shape != mask.shape):
                shapes = [list(one.shape) for one in (ids, mask, types) if one is not None]
                raise MillisError(f"features have the shapes {', '.join(map(str, shapes))}; expected all [B, S]")
        wrong = ctypes.c_int64()
        given = (address(ids), address(mask), address(types), address(states))
        code = self._run(self._model, *given, *mask.shape, address(results), self._times, ctypes.byref(wrong))
        if code:
            refuse(code, wrong.value)


class PlanSegment(PlanSession):
    """A segment of a model with exits: what `millis.serving.stepwise` runs.

    Args:
        mapped: Its plan, whose outputs are logits and states; all but a model's first are given states.
        threads: As for `PlanSession`.

    Raises:
        MillisError: as `PlanSession`, or a plan that is none of a segment.
    """

    def __init__(self, mapped: Mapped, threads: int = 1) -> None:
        super().__init__(mapped, threads)
        if [slot.per for slot in self._outputs] != ["text", "token"]:
            raise MillisError("the plan is damaged: a segment gives logits and states. Make the artifact again")
        self._takes = next((step.width for step in self._steps if isinstance(step, Take)), None)

    def __call__(self, given: Any, *mask: Ids) -> Any:
        """Features, or states [B, S, D] and mask [B, S], to states and logits [B, C]."""
        if isinstance(given, Features):
            ids, read = np.ascontiguousarray(given.ids, np.int64), np.ascontiguousarray(given.mask, np.int64)
            types = None if given.token_types is None else np.ascontiguousarray(given.token_types, np.int64)
            logits, states = self._outputs_of(ids, read, types, None)
            return states, logits
        brought, read = np.ascontiguousarray(given, np.float32), np.ascontiguousarray(mask[0], np.int64)
        if brought.shape != (*read.shape, self._takes):  # the compiled part knows no shapes
            raise MillisError(
                f"the plan is damaged: a segment is given states {list(brought.shape)} and takes "
                f"{[*read.shape, self._takes]}. Make the artifact again"
            )
        logits, states = self._outputs_of(None, read, None, brought)
        return states, logits


def address(array: Any) -> Any:
    """Where an array's numbers begin, as the compiled part takes it. NumPy's own ways to say it take 2 µs, this 0.5."""
    if array is None:
        return None
    buffer: Any = array
    try:
        return ctypes.byref(ctypes.c_char.from_buffer(buffer))
    except (TypeError, ValueError):  # one that may not be written, or without numbers
        return array.ctypes.data


def _kind(step: Step) -> str:
    return "MatMul" if isinstance(step, Linear) else type(step).__name__


def _told(step: Step) -> str:
    """`linear 384 x 1536`, `attention`."""
    matrix = getattr(step, "matrix", None)
    name = type(step).__name__.lower()
    return name if matrix is None else f"{name} {matrix.inputs} x {matrix.outputs} {matrix.kind}"


def refuse(code: int, wrong: int) -> NoReturn:
    reasons = {
        OUTSIDE_VOCABULARY: f"token id {wrong} is outside of the model's vocabulary: use the artifact's own tokenizer",
        TOO_LONG: f"{wrong} tokens are more than the model has positions for: cut them at the manifest's max_length",
        OUTSIDE_TYPES: f"token type {wrong} is none of the model's: expected 0, or 1 for the second text of a pair",
        NO_STATES: "the plan is damaged: it begins where another segment should end. Make the artifact again",
    }
    raise MillisError(
        reasons.get(code, "there is not enough memory for the request. Ask for fewer or shorter texts at once")
    )
