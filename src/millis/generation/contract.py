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
from dataclasses import dataclass, replace
from typing import Self, cast

import numpy as np
from numpy.typing import NDArray

from millis.errors import MillisError
from millis.generation.draft import Draft, unused
from millis.generation.form import grammar
from millis.generation.writing import Choose, Drafting, Ended, Limits, Searched, Vocabulary, Writing
from millis.traits import LOGITS, Traits
from millis.types import Decoder, Search, Searching

BY_LOGITS = (
    "{other} chooses tokens by their logits, and backend={backend} chooses by itself: expected generation=greedy "
    "without a draft or a form, or generation=beam. Or choose backend=onnxruntime"
)


@dataclass(frozen=True)
class Generation(ABC):
    """How tokens are chosen, and where a text ends.

    Args:
        max_tokens: Most tokens to write, the end token counted.
        min_tokens: The text ends neither by an end token nor by a stop string before it has so many: end tokens are not
            chosen until then, as with transformers' `min_new_tokens`. With `max_tokens` of the same number all texts
            are of one length, which makes times comparable.
        stop: Strings before the first of which the text ends.
        choices: Strings of which the text is one; leave out what the prompt ends with, and mind that most tokenizers
            have a space before a word in its token.
        regex: An expression that the text matches from end to end: of the Rust crate `regex`, without look-around, its
            \\d digits of all scripts.
        draft: What guesses tokens so that several are read at once; None reads one by one. The text is the same.

    Raises:
        MillisError: a length below 1, `min_tokens` beyond `max_tokens`, an empty string, or a form that cannot be
            (`millis.generation.form.grammar`), or not together with `min_tokens`.
    """

    max_tokens: int = 64
    min_tokens: int = 0
    stop: tuple[str, ...] = ()
    choices: tuple[str, ...] = ()
    regex: str | None = None
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
        for name in ("stop", "choices"):
            value = getattr(self, name)
            if isinstance(value, str):
                raise MillisError(f"generation.{name}={value!r}: expected a list of strings, such as [{value!r}]")
            object.__setattr__(self, name, tuple(value))  # a config and a manifest give a list
            if "" in value:
                raise MillisError(f"generation.{name}={list(value)} has an empty string: leave it out")
        if grammar(self.choices, self.regex) is not None and self.min_tokens:
            raise MillisError(
                f"generation.min_tokens={self.min_tokens} with choices or a regex, which say how long a text is: "
                "expected 0. Say it in the regex"
            )

    @property
    def traits(self) -> Traits:
        """Whether tokens are chosen by logits, which engines that search do not give."""
        return (LOGITS,)

    @property
    def called(self) -> str:
        """As in a config."""
        return f"generation={type(self).__name__.lower()}"

    @property
    def alone(self) -> Self:
        """The same without a draft."""
        return replace(self, draft=None)

    @property
    def smaller(self) -> str:
        """Folder of the artifact whose model guesses; empty where none does."""
        return getattr(self.draft, "artifact", "")

    @abstractmethod
    def chooser(self) -> Choose:
        """What chooses the tokens of one text, first to last."""

    def search(self, limits: Limits) -> Search:
        """What an engine that chooses tokens by itself is asked for.

        Raises:
            MillisError: what is to be written follows from logits here.
        """
        raise MillisError(BY_LOGITS.format(other=self.called, backend="ctranslate2"))

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
        if hasattr(decoder, "search"):
            found = cast(Searching, decoder).search(tokens, self.search(limits))
            return Searched(found, vocabulary, limits)
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
        fits = self.max_tokens if context is None else context - len(prompt) + 1
        if fits < 1:
            raise MillisError(
                f"the prompt has {len(prompt)} tokens, and the model reads {context}: shorten it, or use a model with "
                "a larger context"
            )
        reached: Ended = "full" if fits < self.max_tokens else "length"
        form = grammar(self.choices, self.regex)
        return Limits(min(self.max_tokens, fits), self.min_tokens, self.stop, reached, form)


def none() -> None:
    """Of models that do not write."""
