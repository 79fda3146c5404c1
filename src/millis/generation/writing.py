"""One text that is being written: token by token, or several at a time where a draft was right.

The loop is the same for every way of choosing; what it costs is in `millis.generation.greedy`.

Axes here: S tokens of the prompt, T written tokens, V vocabulary.
"""

from collections.abc import Callable, Iterator, Sequence
from typing import Literal, NamedTuple, Protocol, TypeAlias

import numpy as np
from numpy.typing import NDArray

from millis.errors import MillisError
from millis.generation.form import Form
from millis.generation.text import Decode, TextStream
from millis.types import Continuation

Ended: TypeAlias = Literal["end", "length", "stop", "full"]
"""Why no more is written: an end token was chosen, there are as many tokens as were asked for, a stop string stands in
the text, or the decoder has no room for more."""

Choose: TypeAlias = Callable[[NDArray[np.float32]], int]
"""Logits [V] → the token that comes next."""


class Vocabulary(NamedTuple):
    """What writing has to know of a tokenizer.

    Args:
        ends: Ids of the tokens that end a text; none where only its length does.
        decode: Ids to text.
        serialized: Gives the text of its `tokenizer.json`, which is asked for by forms alone, once a text
            (`millis.generation.form`).
    """

    ends: tuple[int, ...]
    decode: Decode
    serialized: Callable[[], str] | None = None


class Written(NamedTuple):
    """A text that was written.

    Args:
        tokens: [T], the end token not among them; those of a stop string are, as far as they were written.
        ended: Why there are no more.
        drafted: Tokens that were guessed, 0 without a draft.
        accepted: Those of them that are in the text.
        refused: Those of them that were wrong after right ones; what was guessed after them was not looked at.
    """

    tokens: NDArray[np.int64]
    ended: Ended
    drafted: int = 0
    accepted: int = 0
    refused: int = 0


class Limits(NamedTuple):
    """Where a text ends.

    Args:
        most: Tokens.
        least: Tokens before which neither end token nor stop string ends it.
        stop: Strings before which it ends.
        reached: What is said where it has `most` tokens.
        grammar: Of the form that it has, where it has one.
    """

    most: int
    least: int
    stop: tuple[str, ...]
    reached: Ended
    grammar: str | None = None


def no_numbers(count: int, largest: float) -> MillisError:
    """What is raised where the largest of `count` logits is NaN or infinite."""
    return MillisError(
        f"the largest of {count} logits is {largest}: expected a finite number. The model diverged in training, or its "
        "weights overflow in this precision"
    )


class Drafter(Protocol):
    """Guesses what will be written, for one text."""

    def propose(self, written: Sequence[int], most: int) -> NDArray[np.int64]:
        """Tokens [0 to `most`] that may come after `written` [T], to which what came since the last call was added."""
        ...


class Writing:
    """A text whose first token is chosen; `finish`, `stream` or `step` writes the others.

    Args:
        continuation: Empty, with room for the prompt and all but the last of the tokens.
        prompt: [S], S at least 1.
        vocabulary: Of the decoder.
        limits: Where the text ends.
        choose: How tokens are chosen; it is called for one after the other.

    Attributes:
        tokens: What is written so far.
        ended: Why no more is written; None while more is.

    Raises:
        MillisError: an end token that the vocabulary does not have; what reading and choosing raise.
    """

    def __init__(
        self,
        continuation: Continuation,
        prompt: NDArray[np.int64],
        vocabulary: Vocabulary,
        limits: Limits,
        choose: Choose,
    ) -> None:
        self.tokens: list[int] = []
        self.ended: Ended | None = None
        self.drafted = self.accepted = self.refused = 0
        self._continuation, self._limits, self._choose = continuation, limits, choose
        self._ends, self._decode = frozenset(vocabulary.ends), vocabulary.decode
        self._text = TextStream(self._decode, limits.stop) if limits.stop else None
        self._pieces: list[str] = []  # of text, where it is followed
        row = continuation.read(prompt)[0]
        self._size = len(row)  # V
        if self._ends and not (min(self._ends) >= 0 and max(self._ends) < len(row)):
            raise MillisError(
                f"the end tokens are {sorted(self._ends)}, and the decoder has logits of {len(row)} tokens: expected "
                "ids below that. Use the tokenizer that the model was trained with"
            )
        grammar = limits.grammar
        self._form = None if grammar is None else Form(grammar, vocabulary.serialized, vocabulary.ends, self._size)
        self._read = 0  # tokens that were written and read; the last one never is
        self._take(row)

    def step(self) -> None:
        """Write one more token, or several. To be called while `ended` is None."""
        unread = np.array(self.tokens[self._read :], np.int64)
        self._read = len(self.tokens)
        self._take(self._continuation.read(unread)[0])

    def finish(self) -> Written:
        """Write until the text ends."""
        while self.ended is None:
            self.step()
        return Written(np.array(self.tokens, np.int64), self.ended, self.drafted, self.accepted, self.refused)

    def __iter__(self) -> Iterator[int]:
        """The tokens from the first on, each as soon as it is written."""
        given = 0
        while True:
            for token in self.tokens[given:]:
                yield token
                given += 1
            if given == len(self.tokens):  # and not written on meanwhile
                if self.ended is not None:
                    return
                self.step()

    def stream(self) -> Iterator[str]:
        """The text from its beginning on in pieces, each as soon as it is final; none is empty."""
        self._follow()
        given = 0
        while True:
            for piece in self._pieces[given:]:
                if piece:
                    yield piece
                given += 1
            if given == len(self._pieces):
                if self.ended is not None:
                    return
                self.step()

    def text(self) -> str:
        """The text, up to a stop string; while it is being written, what of it is final."""
        self._follow()
        return "".join(self._pieces)

    def _follow(self) -> None:
        """Have the text followed, which is done from the first token on only where stop strings are looked for."""
        if self._text is not None:
            return
        self._text = TextStream(self._decode)
        self._pieces = [self._text.push(token) for token in self.tokens]
        if self.ended is not None:
            self._pieces.append(self._text.finish())

    def _take(self, logits: NDArray[np.float32]) -> None:
        """Choose the next token from `logits` [V], and write what there is no choice of after it."""
        if self._form is not None:
            self._add(self._choose(self._form.possible(logits)))
            self._add_forced(self._form)
        elif len(self.tokens) < self._limits.least:
            self._add(self._choose(self._without_ends(logits)))
        else:
            self._add(self._choose(logits))

    def _add_forced(self, form: Form) -> None:
        """Write what the form leaves no choice of."""
        for token in form.forced() if self.ended is None else ():
            self._add(token)
            if self.ended is not None:
                return
        if self.ended is None and form.complete:
            self._end("end")

    def _add(self, token: int) -> None:
        """Write a token, and see whether it ends the text."""
        if token in self._ends:
            self._end("end")
            return
        tokens = self.tokens
        tokens.append(token)
        if self._form is not None:
            self._form.take(token)
        if self._text is not None:
            self._pieces.append(self._text.push(token, len(tokens) >= self._limits.least))
            if self._text.stopped:
                self._end("stop")
                return
        if len(tokens) >= self._limits.most:
            self._end(self._limits.reached)

    def _end(self, why: Ended) -> None:
        self.ended = why
        if self._text is not None:
            self._pieces.append(self._text.finish())

    def _without_ends(self, logits: NDArray[np.float32]) -> NDArray[np.float32]:
        """`logits` under which no end token can be chosen; a copy, for they are the decoder's."""
        masked = logits.copy()
        masked[list(self._ends)] = -np.inf
        return masked


class Searched(Writing):
    """A text whose tokens somebody else chooses: a search over several texts, or an engine of its own.

    Args:
        found: The tokens, without an end; the first one is taken at once.
        vocabulary: Of the decoder.
        limits: Where the text ends.
    """

    def __init__(self, found: Iterator[int], vocabulary: Vocabulary, limits: Limits) -> None:
        self.tokens, self.ended = [], None
        self.drafted = self.accepted = self.refused = 0
        self._limits, self._ends, self._decode, self._form = limits, frozenset(vocabulary.ends), vocabulary.decode, None
        self._text = TextStream(self._decode, limits.stop) if limits.stop else None
        self._pieces = []
        self._found = found
        self.step()

    def step(self) -> None:
        """Write one more token."""
        token = next(self._found, None)
        if token is None:
            self._end("end")
        else:
            self._add(token)


class Drafting(Writing):
    """A text of which several tokens are guessed, and read at once to see which are right.

    Logits after each guess choose the token that comes there; while that is the guess, the next one's logits are those
    of the text. So what is written is what `choose` would write one by one, as far as the decoder gives the same
    logits for one token and for several, whatever is guessed (2211.17192, algorithm 1, with a draft that is certain).

    Args:
        drafter: Makes who guesses, of V.
        others: As for `Writing`.
    """

    def __init__(
        self,
        continuation: Continuation,
        prompt: NDArray[np.int64],
        vocabulary: Vocabulary,
        limits: Limits,
        choose: Choose,
        drafter: Callable[[int], Drafter],
    ) -> None:
        super().__init__(continuation, prompt, vocabulary, limits, choose)
        self._drafter = drafter(self._size)

    def step(self) -> None:
        """Write the guesses that are right, and the token after them."""
        most = self._limits.most - len(self.tokens) - 1  # beside the one that comes in any case
        draft = self._drafter.propose(self.tokens, most) if most > 0 else np.empty(0, np.int64)
        if not len(draft):
            super().step()
            return
        before, right, guesses = len(self.tokens), 0, draft.tolist()
        unread = np.array(self.tokens[self._read :], np.int64)
        rows = self._continuation.read(np.concatenate([unread, draft]), every=True)[len(unread) - 1 :]
        while True:
            self._take(rows[right])
            fresh = self.tokens[before:]
            while right < min(len(fresh), len(guesses)) and fresh[right] == guesses[right]:
                right += 1
            if self.ended is not None or right < len(fresh):
                break
        self.refused += right < len(guesses) and (right < len(fresh) or self.ended == "end")
        self.drafted += len(guesses)
        self.accepted += right
        self._read = before + right
        self._continuation.rewind(self._continuation.length - len(guesses) + right)
