"""A plan that writes token by token: keys and values of the tokens read so far are kept in the compiled part."""

import ctypes
import weakref

import numpy as np
from numpy.typing import NDArray

from millis.backends.plan import library
from millis.backends.plan.file import Mapped
from millis.backends.plan.session import MESSAGE_BYTES, PlanSession, address, refuse
from millis.backends.room import check_begun, check_rewind, check_room
from millis.errors import MillisError


class PlanDecoder(PlanSession):
    """A session that also writes (`millis.types.Decoder`). Begun from several threads, each text has its own memory.

    Args:
        mapped: A plan whose one output has a row for each token, which depends on those before it alone.
        threads: As for `PlanSession`.

    Raises:
        MillisError: as `PlanSession`.
    """

    def __init__(self, mapped: Mapped, threads: int = 1) -> None:
        super().__init__(mapped, threads)
        self.width = self._outputs[0].width

    def begin(self, room: int) -> "PlanContinuation":
        """An empty text.

        Args:
            room: How many tokens it will have at most, those of the prompt included; all memory is taken here.

        Raises:
            MillisError: no room, more than there is memory for, or a plan that is no decoder's.
        """
        check_begun(room)
        message = ctypes.create_string_buffer(MESSAGE_BYTES)
        begun = library.load().millis_begin(self._model, min(room, 2**62), message, MESSAGE_BYTES)
        if not begun:
            if said := message.value.decode(errors="replace"):
                raise MillisError(f"the plan is damaged: {said}. Make the artifact again")
            raise MillisError(f"there is not enough memory for a text of {room} tokens. Begin with less room")
        return PlanContinuation(self, begun, room)


class PlanContinuation:
    """One text of a `PlanDecoder`, for one caller at a time.

    Args:
        decoder: Stays open for as long.
        begun: What the compiled part keeps.
        room: For so many tokens.
    """

    def __init__(self, decoder: PlanDecoder, begun: int, room: int) -> None:
        native = library.load()
        self._decoder, self._begun, self._room, self._read = decoder, begun, room, native.millis_read
        self._length = 0
        weakref.finalize(self, native.millis_end, begun).atexit = False

    @property
    def length(self) -> int:
        """How many tokens were read."""
        return self._length

    def read(self, tokens: NDArray[np.int64], every: bool = False) -> NDArray[np.float32]:
        """Append tokens [K] and say what comes next, after each of them [K, V] or after the last [1, V].

        Raises:
            MillisError: more tokens than there is room for, none, or ids outside of the vocabulary; the text stays as
                it was.
        """
        given = np.ascontiguousarray(tokens, np.int64)
        if given.ndim != 1:
            raise MillisError(f"tokens of shape {list(given.shape)} are to be read; expected [K]")
        count = len(given)
        check_room(self._length, count, self._room)
        results, wrong = np.empty((count if every else 1, self._decoder.width), np.float32), ctypes.c_int64()
        code = self._read(
            self._begun, address(given), count, self._length, every, address(results), None, ctypes.byref(wrong)
        )
        if code:
            refuse(code, wrong.value)
        self._length += count
        return results

    def rewind(self, length: int) -> None:
        """Forget all but the first `length` tokens.

        Raises:
            MillisError: there are not so many.
        """
        check_rewind(length, self._length)
        self._length = length
