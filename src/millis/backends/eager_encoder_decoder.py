"""Writing token by token with an encoder-decoder of PyTorch: the encoder runs once a text, and so do the keys and
values that the decoder makes of its states."""

from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from transformers import DynamicCache, EncoderDecoderCache

from millis.backends.modules import EagerSession
from millis.backends.prompt import source_length
from millis.backends.room import check_begun, check_ids, check_rewind, check_room
from millis.models.encoder_decoder import max_length


class EagerEncoderDecoderContinuation:
    """See `millis.types.Continuation`; what is read first holds all that the encoder reads.

    Args:
        model: A `millis.models.encoder_decoder.EncoderDecoder`.
        room: Most tokens.
    """

    def __init__(self, model: Any, room: int) -> None:
        self.model, self.room = model, room
        self._source = np.empty(0, np.int64)
        self._states: Tensor | None = None
        self._cache = EncoderDecoderCache(DynamicCache(), DynamicCache())

    @property
    def length(self) -> int:
        """How many tokens were read."""
        return len(self._source) + int(self._cache.get_seq_length())

    @torch.inference_mode()
    def read(self, tokens: NDArray[np.int64], every: bool = False) -> NDArray[np.float32]:
        """Logits after each of `tokens` [K], [K, V], or after the last alone, [1, V]; 0 at what the encoder reads.

        Raises:
            MillisError: more tokens than there is room for, none, ids outside of the vocabulary, or a first reading
                without the tokens that the decoder begins with.
        """
        check_room(self.length, len(tokens), self.room)
        check_ids(tokens, self.model.spec.outputs[0].width)
        before = 0
        if self._states is None:
            whole = np.concatenate([self._source, tokens])
            count = source_length(whole, self.model.spec.starts)
            self._states = self.model.encoder.encoder(input_ids=_row(whole[:count])).last_hidden_state
            before, tokens = max(0, count - len(self._source)), whole[count:]
            self._source = whole[:count]
        given = self.model.encoder.decoder(
            input_ids=_row(tokens), encoder_hidden_states=self._states, cache=self._cache, use_cache=True
        )
        states = given.last_hidden_state[0]
        found: NDArray[np.float32] = self.model.answered(states if every else states[-1:]).numpy()
        return np.pad(found, ((before, 0), (0, 0))) if every else found

    def rewind(self, length: int) -> None:
        """Forget all but the first `length` tokens.

        Raises:
            MillisError: there are not so many.
        """
        check_rewind(length, self.length)
        if length <= len(self._source):
            self._source, self._states = self._source[:length], None
            self._cache = EncoderDecoderCache(DynamicCache(), DynamicCache())
        elif gone := self.length - length:
            self._cache.self_attention_cache.crop(-gone)


def _row(tokens: NDArray[np.int64]) -> Tensor:
    return torch.from_numpy(tokens)[None]


class EagerEncoderDecoder(EagerSession):
    """An encoder-decoder that writes."""

    model: Any

    def begin(self, room: int) -> EagerEncoderDecoderContinuation:
        """An empty continuation.

        Raises:
            MillisError: no room, or more than the model has positions for.
        """
        check_begun(room, max_length(self.model.spec))
        return EagerEncoderDecoderContinuation(self.model, room)
