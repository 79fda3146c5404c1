"""ONNX Runtime writes token by token: one graph, whose keys and values lie in memory of each text's own.

The graph (`millis.backends.onnx.causal`) takes the tokens that are new, and how many there are with those before.
Keys and values are read and written where they lie: the same memory is bound as what goes in and as what comes out,
and `GroupQueryAttention` then adds the new tokens' behind the others, without a copy. A graph that joins old and new
ones by `Concat`, given back to it at the next token, copies all of them for every token that is written.
"""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

import numpy as np
from numpy.typing import NDArray

from millis.backends.onnx.session import OnnxSession
from millis.backends.room import check_begun, check_ids, check_rewind, check_room
from millis.errors import MillisError
from millis.types import Features, Outputs

IDS, ROWS, LAST, LENGTH = "input_ids", "rows", "last", "length"
PAST, PRESENT = "past", "present"
NOTHING: Mapping[str, Any] = MappingProxyType({})
CONTEXT = "context"  # in the graph's metadata: most tokens of a text


class OnnxDecoder(OnnxSession):
    """A graph that writes, as a session and as `millis.types.Decoder`.

    Args:
        session: An `onnxruntime.InferenceSession`.
        weights: What it computes with and does not own.

    Raises:
        MillisError: the graph is of another kind.
    """

    def __init__(self, session: Any, weights: Any = ()) -> None:
        super().__init__(session, weights)
        self.session = session
        context = session.get_modelmeta().custom_metadata_map.get(CONTEXT, "")
        if not context.isdecimal():
            raise MillisError("the graph does not write token by token, as its manifest says. Make the artifact again")
        self.context = int(context)
        (logits,) = (output for output in session.get_outputs() if not output.name.startswith(PRESENT))
        self.outputs, self.vocabulary = [logits.name], int(logits.shape[-1])
        caches = [value for value in session.get_inputs() if value.name.startswith(PAST)]
        self.caches = {value.name: (int(value.shape[1]), int(value.shape[3])) for value in caches}

    def __call__(self, features: Features) -> Outputs:
        """Logits [B, S, V].

        Raises:
            MillisError: padding that stands before tokens, who would look back at it.
        """
        return tuple(self.run(self.outputs, self.feeds(features)))

    def feeds(self, features: Features) -> dict[str, NDArray[Any]]:
        """The graph's inputs for whole texts. What follows a token is not seen by it, so padding needs no mask."""
        batch, length = features.ids.shape
        if (features.mask[:, 1:] > features.mask[:, :-1]).any():
            raise MillisError("a decoder got padding before tokens: expected it after them, as tokens look back")
        named: dict[str, NDArray[Any]] = {IDS: features.ids, ROWS: np.array([-length], np.int64)}
        named |= {LAST: np.full(batch, length - 1, np.int32), LENGTH: np.array(length, np.int32)}
        empty = {name: np.empty((batch, heads, 0, size), np.float32) for name, (heads, size) in self.caches.items()}
        return named | empty

    def begin(self, room: int) -> "OnnxContinuation":
        """An empty continuation with room for so many tokens.

        Raises:
            MillisError: no room, or more tokens than the model has positions for.
        """
        check_begun(room, self.context)
        return OnnxContinuation(self, room)


class OnnxContinuation:
    """See `millis.types.Continuation`.

    Args:
        decoder: Whose.
        room: Most tokens.
        beside: What the graph takes beside tokens, keys and values, by name: values of ONNX Runtime.
    """

    def __init__(self, decoder: OnnxDecoder, room: int, beside: Mapping[str, Any] = NOTHING) -> None:
        from onnxruntime import OrtValue

        self.room, self.length = room, 0
        self._decoder, self._run = decoder, decoder.session.run_with_iobinding
        self._binding = binding = decoder.session.io_binding()
        # ONNX Runtime reads and writes arrays where they lie: those bound here are given their values before each run.
        self._last, self._total = np.zeros(1, np.int32), np.zeros((), np.int32)
        binding.bind_cpu_input(LAST, self._last)
        binding.bind_cpu_input(LENGTH, self._total)
        for name, value in beside.items():
            binding.bind_ortvalue_input(name, value)
        for name, (heads, size) in decoder.caches.items():
            cache = OrtValue.ortvalue_from_numpy(np.zeros((1, heads, room, size), np.float32))
            binding.bind_ortvalue_input(name, cache)
            binding.bind_ortvalue_output(name.replace(PAST, PRESENT), cache)
        self._bind(1, 1)

    def _bind(self, count: int, rows: int) -> None:
        """Arrays for so many tokens that are new, and rows of logits: binding takes longer than copying a row."""
        from onnxruntime import OrtValue

        self._ids, self._rows = np.zeros((1, count), np.int64), np.array([-rows], np.int64)
        self._logits = np.empty((1, rows, self._decoder.vocabulary), np.float32)
        self._binding.bind_cpu_input(IDS, self._ids)
        self._binding.bind_cpu_input(ROWS, self._rows)
        self._binding.bind_ortvalue_output(self._decoder.outputs[0], OrtValue.ortvalue_from_numpy(self._logits))

    def read(self, tokens: NDArray[np.int64], every: bool = False) -> NDArray[np.float32]:
        """Logits after each of `tokens` [K], [K, V], or after the last alone, [1, V].

        Raises:
            MillisError: more tokens than there is room for, or ids outside of the vocabulary; the text stays as it was.
        """
        count, length = len(tokens), self.length
        check_room(length, count, self.room)
        rows = count if every else 1
        if (self._ids.size, self._logits.shape[1]) != (count, rows):
            self._bind(count, rows)
        self._ids[0], self._last[0], self._total[...] = tokens, length + count - 1, length + count
        try:
            self._run(self._binding)
        except Exception:  # onnxruntime raises a dozen unrelated classes
            check_ids(tokens, self._decoder.vocabulary)
            raise
        self.length = length + count
        found: NDArray[np.float32] = self._logits[0].copy()
        return found

    def rewind(self, length: int) -> None:
        """Forget all but the first `length` tokens; what is kept of the others is written over.

        Raises:
            MillisError: there are not so many.
        """
        check_rewind(length, self.length)
        self.length = length
