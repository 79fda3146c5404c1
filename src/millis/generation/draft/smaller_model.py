"""A smaller model of the same vocabulary guesses, greedily (Leviathan et al. 2023, 2211.17192)."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from millis.errors import MillisError
from millis.generation.draft import Draft
from millis.generation.greedy import largest
from millis.generation.writing import Drafter
from millis.types import Decoder


@dataclass(frozen=True)
class SmallerModel(Draft):
    """What a smaller decoder would write, one by one.

    The paper draws guesses from the smaller model's distribution q and accepts with min(1, p / q). Here guesses are the
    most likely tokens, and one is right where the larger model chooses it: with greedy choice that is the paper's rule,
    with sampling it accepts less often, p(guess), and a seed has the same text with and without a draft.

    The smaller model reads the prompt after the first token is there, which it is not waited for with.

    Args:
        tokens: Most guesses that are read at once, γ in the paper.
        artifact: Folder of the smaller model's artifact, which is copied into that of the larger; empty where a decoder
            is given.
    """

    asks_a_model: ClassVar[bool] = True

    tokens: int = 4  # best by `expected_speedup` where 0.7 of the guesses are right and one costs a tenth
    artifact: str = ""

    def drafter(self, prompt: NDArray[np.int64], room: int, size: int, smaller: Decoder | None) -> Drafter:
        """What guesses in one text."""
        assert smaller is not None  # `check` saw to it
        return _Guessing(self.tokens, prompt, room, size, smaller)


class _Guessing:
    """A continuation of the smaller model, which follows the text."""

    def __init__(self, tokens: int, prompt: NDArray[np.int64], room: int, size: int, smaller: Decoder) -> None:
        self._most, self._size, self._prompt = tokens, size, prompt
        self._continuation = smaller.begin(room)
        self._guesses: list[int] = []  # of the last call
        self._before = 0  # how many tokens were written then

    def propose(self, written: Sequence[int], most: int) -> NDArray[np.int64]:
        """As `Drafter`."""
        fresh = self._unread(written)
        guesses: list[int] = []
        while len(guesses) < min(self._most, most):
            logits = self._continuation.read(fresh)[0]
            if len(logits) != self._size:
                raise MillisError(
                    f"the smaller model has logits of {len(logits)} tokens, the one that writes of {self._size}: "
                    "expected one vocabulary. Use models with the same tokenizer"
                )
            guesses.append(largest(logits))
            fresh = np.array(guesses[-1:], np.int64)
        self._guesses, self._before = guesses, len(written)
        return np.array(guesses, np.int64)

    def _unread(self, written: Sequence[int]) -> NDArray[np.int64]:
        """Tokens of the text that the continuation has not read, after it has forgotten those that are not in it; the
        prompt is read here."""
        if not self._continuation.length:
            self._continuation.read(self._prompt)
            return np.array(written, np.int64)
        read = self._guesses[:-1]
        right = next((at for at, guess in enumerate(read) if guess != written[self._before + at]), len(read))
        known = self._before + right
        self._continuation.rewind(len(self._prompt) + known)
        return np.array(written[known:], np.int64)
