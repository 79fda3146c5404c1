"""Writing token by token with a module of PyTorch: keys and values as transformers keeps them."""

from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from transformers import DynamicCache

from millis.backends.modules import EagerSession
from millis.backends.room import check_begun, check_ids, check_rewind, check_room
from millis.models.transformer import max_length


class EagerContinuation:
    """See `millis.types.Continuation`.

    Args:
        model: A `millis.models.encoder.Transformer` whose one output says which token comes next.
        room: Most tokens.
    """

    def __init__(self, model: Any, room: int) -> None:
        self.model, self.room = model, room
        self._cache = DynamicCache()  # of all tokens: one that keeps a window's cannot be rewound beyond it

    @property
    def length(self) -> int:
        """How many tokens were read."""
        return int(self._cache.get_seq_length())

    @torch.inference_mode()
    def read(self, tokens: NDArray[np.int64], every: bool = False) -> NDArray[np.float32]:
        """Logits after each of `tokens` [K], [K, V], or after the last alone, [1, V].

        Raises:
            MillisError: more tokens than there is room for, none, or ids outside of the vocabulary.
        """
        check_room(self.length, len(tokens), self.room)
        check_ids(tokens, self.model.spec.outputs[0].width)
        given = self.model.encoder(input_ids=torch.from_numpy(tokens)[None], cache=self._cache, use_cache=True)
        states = given.last_hidden_state[0]
        (head,) = self.model.classifiers()
        found: NDArray[np.float32] = head(states if every else states[-1:]).numpy()
        return found

    def rewind(self, length: int) -> None:
        """Forget all but the first `length` tokens.

        Raises:
            MillisError: there are not so many.
        """
        check_rewind(length, self.length)
        if gone := self.length - length:
            self._cache.crop(-gone)


class EagerDecoder(EagerSession):
    """A module that writes."""

    model: Any

    def begin(self, room: int) -> EagerContinuation:
        """An empty continuation.

        Raises:
            MillisError: no room, or more than the model has positions for.
        """
        check_begun(room, max_length(self.model.spec))
        return EagerContinuation(self.model, room)
