"""Generation: how the tokens of a text are chosen. One file each; the contract.

A way of generating is a frozen dataclass in a file of its name (`greedy.py`: `Greedy`), whose fields are JSON-able, for
they lie in manifests and records (`millis.described`). It says how a token is chosen (`chooser`); what is guessed ahead
is a choice of its own (`millis.generation.draft`), and the loop around both is `millis.generation.writing`.

    writing = Greedy(max_tokens=20).begin(decoder, prompt, vocabulary)    # the first token is chosen: time it here
    written = writing.finish()                                            # the others
    writing.text()
"""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from millis.errors import MillisError
from millis.generation.draft import Draft, unused
from millis.generation.writing import Choose, Drafting, Limits, Vocabulary, Writing
from millis.types import Decoder


@dataclass(frozen=True)
class Generation(ABC):
    """How tokens are chosen, and where a text ends.

    Args:
        max_tokens: Most tokens to write, the end token counted.
        min_tokens: The text ends neither by an end token nor by a stop string before it has so many: end tokens are not
            chosen until then, as with transformers' `min_new_tokens`. With `max_tokens` of the same number all texts
            are of one length, which makes times comparable.
        stop: Strings before the first of which the text ends.
        draft: What guesses tokens so that several are read at once; None reads one by one. The text is the same.

    Raises:
        MillisError: a length below 1, `min_tokens` beyond `max_tokens`, or an empty stop string.
    """

    max_tokens: int = 64
    min_tokens: int = 0
    stop: tuple[str, ...] = ()
    draft: Draft | None = None

    def __post_init__(self) -> None:
        if self.max_tokens < 1:
            raise MillisError(
                f"generation.max_tokens={self.max_tokens}: expected 1 or more, for the first token is always chosen"
            )
        if not 0 <= self.min_tokens <= self.max_tokens:
            raise MillisError(
                f"generation.min_tokens={self.min_tokens}: expected 0 to max_tokens={self.max_tokens}. Raise "
                "max_tokens, or ask for fewer"
            )
        if isinstance(self.stop, str):
            raise MillisError(f"generation.stop={self.stop!r}: expected a list of strings, such as [{self.stop!r}]")
        object.__setattr__(self, "stop", tuple(self.stop))  # a config and a manifest give a list
        if "" in self.stop:
            raise MillisError(
                f"generation.stop={list(self.stop)} has an empty string, which every text begins with: leave it out"
            )

    @abstractmethod
    def chooser(self) -> Choose:
        """What chooses the tokens of one text, first to last."""

    def begin(
        self,
        decoder: Decoder,
        prompt: Sequence[int] | NDArray[np.int64],
        vocabulary: Vocabulary,
        context: int | None = None,
        smaller: Decoder | None = None,
    ) -> Writing:
        """Read the prompt and choose the first token.

        Args:
            prompt: [S], S at least 1.
            vocabulary: Of `decoder`.
            context: Most tokens that the decoder can read of one text; None where that is not limited. The last token
                of a text is not read, so that one more can be written.
            smaller: A smaller decoder of the same vocabulary, where `draft` asks one.

        Raises:
            MillisError: no prompt, or one that is longer than `context`; a smaller decoder that is not asked, or none
                where one is; what the decoder and the choice raise.
        """
        tokens = np.asarray(prompt, np.int64)
        limits = self._limits(tokens, context)
        draft, room = self.draft, len(tokens) + limits.most - 1
        if draft is not None:
            draft.check(smaller)
        elif smaller is not None:
            raise unused("none")
        given = (decoder.begin(room), tokens, vocabulary, limits, self.chooser())
        if draft is None:
            return Writing(*given)
        return Drafting(*given, lambda size: draft.drafter(tokens, room, size, smaller))

    def _limits(self, prompt: NDArray[np.int64], context: int | None) -> Limits:
        if prompt.ndim != 1 or not len(prompt):
            raise MillisError(
                f"a prompt of shape {list(prompt.shape)}: expected [S] tokens, S at least 1. Begin an empty text with "
                "the tokenizer's start token"
            )
        if context is None:
            return Limits(self.max_tokens, self.min_tokens, self.stop, "length")
        fits = context - len(prompt) + 1
        if fits < 1:
            raise MillisError(
                f"the prompt has {len(prompt)} tokens, and the model reads {context}: shorten it, or use a model with "
                "a larger context"
            )
        return Limits(
            min(self.max_tokens, fits), self.min_tokens, self.stop, "full" if fits < self.max_tokens else "length"
        )


def none() -> None:
    """Of models that do not write."""
