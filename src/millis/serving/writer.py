"""A runner that writes: a prompt in, what comes after it out, token by token.

A request's stages are `tokenize`, `feed`, `first` (the prompt is read and the first token chosen), `write` (the others)
and `decode`: time to first token is the first three, and time per output token what `write` takes a token.

What judges the model's likelihoods, `compute` and `answer`, reads a text as a whole, as any runner does.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from functools import cache, cached_property, partial
from time import perf_counter_ns
from typing import Any, ClassVar, NamedTuple, cast

import numpy as np
from numpy.typing import NDArray
from tokenizers import Tokenizer

from millis import generation
from millis.errors import MillisError
from millis.generation.contract import Generation
from millis.generation.greedy import Greedy
from millis.generation.writing import Vocabulary, Writing
from millis.serving.one_pass import Runner, check_deadline
from millis.serving.reader import Encoded, Reader
from millis.storage.manifest import Manifest
from millis.tasks.contract import Prompting
from millis.types import Decoder, Session, Text, Timed

ANYTHING: dict[str, Any] = {"stop": (), "choices": (), "regex": None}  # what lets a text go on whatever it says


class Reply(NamedTuple):
    """What was written.

    Args:
        text: Without the prompt, up to a stop string.
        tokens: That were written.
        ended: Why there are no more (`millis.generation.writing.Ended`; or `deadline`, or `left`: nobody read on).
        accepted, refused: Tokens that were guessed right, and wrong (`millis.generation.writing.Written`).
    """

    text: str
    tokens: tuple[int, ...]
    ended: str
    accepted: int = 0
    refused: int = 0

    def value(self) -> str:
        """The text."""
        return self.text


class Writer(Runner):
    """Answers requests with text.

    Args:
        manifest: What the artifact is.
        reader: Of the artifact's requests.
        decoder: The weights on a backend.
        smaller: Those of the model that guesses, where one does.
    """

    def __init__(self, manifest: Manifest, reader: Reader, decoder: Decoder, smaller: Decoder | None = None) -> None:
        super().__init__(manifest, reader, decoder)
        self._smaller = smaller
        self._tokens = cast(Tokenizer, reader.tokenizer)
        before, after = manifest.spec.around
        self._before, self._behind, self._after = len(before), len(after), _trailing(after, manifest.spec.ends)
        self._task = cast(Prompting, manifest.answers)
        said = manifest.generation
        self.generation: Generation = Greedy() if said is None else generation.read(said)
        decode, serialized = partial(_text, self._tokens), cache(partial(_serialized, self._tokens))
        self._vocabulary = Vocabulary(manifest.spec.ends, decode, serialized)  # methods would keep the runner

    def write_within(self, text: Text, deadline_ms: float, say: Callable[[str], bool]) -> Timed:
        """What comes after `text`, as far as there is time for it.

        Args:
            text: The prompt.
            deadline_ms: Milliseconds from this call; a text is ended (`ended="deadline"`) where the next piece, at the
                pace of those before, would be late. The first token is waited for in any case.
            say: Called with each piece as soon as it is final; where it returns False, nobody reads on, and no more is
                written (`ended="left"`).

        Raises:
            MillisError: as `predict`.
        """
        stamps = [perf_counter_ns()]
        start, framed = stamps[0], self._framed(text)
        stamps.append(perf_counter_ns())
        prompt = self._prompt(framed)
        stamps.append(perf_counter_ns())
        writing = self._first(prompt)
        stamps.append(perf_counter_ns())
        until, begun, cut = start + int(deadline_ms * 1e6), stamps[-1], None
        for pieces, piece in enumerate(writing.stream(), 1):
            now = perf_counter_ns()
            if not say(piece):
                cut = "left"
            elif writing.ended is None and now + (now - begun) // pieces > until:
                cut = "deadline"
            if cut is not None:
                break
        stamps.append(perf_counter_ns())
        reply = self.reply(writing)
        stamps.append(perf_counter_ns())
        return self._timed(reply if cut is None else reply._replace(ended=cut), (1, 1), start, stamps, deadline_ms)

    def _predict_within(self, text: Text, deadline_ms: float) -> Timed:
        check_deadline(deadline_ms)
        return self.write_within(text, deadline_ms, lambda piece: True)

    def begin(self, text: Text) -> Writing:
        """The text after `text` with its first token chosen, to be written on as one likes."""
        return self._first(self._prompt(self._framed(text)))

    def replied(self, text: Text) -> Reply:
        """`predict` without a deadline."""
        return self.reply(self._write(self.begin(text)))

    def stream(self, text: Text) -> Iterator[str]:
        """What comes after `text` in pieces, each as soon as it is final; together they are `predict`'s text."""
        yield from self.begin(text).stream()

    def at_length(self, tokens: int) -> None:
        """From now on write so many tokens for every request, whatever they are: lengths of which times compare.

        Raises:
            MillisError: fewer than 2, or more than the model has room for.
        """
        if not 2 <= tokens <= self.manifest.max_length // 2:
            raise MillisError(
                f"benchmark.new_tokens={tokens}: expected at least 2, of which the first is timed by itself, and at "
                f"most half of the {self.manifest.max_length} tokens that the model reads. Raise task.max_length"
            )
        self.generation = replace(self.generation, max_tokens=tokens, min_tokens=tokens, **ANYTHING)

    def request(self, text: Text) -> Text:
        """The prompt that a text of the data stands for."""
        prompt: Text = self._task.prompt(text)
        return prompt

    @property
    def _sessions(self) -> tuple[Session, ...]:
        return (self._session, *(() if self._smaller is None else (self._smaller,)))

    def beside(self, decoder: Decoder) -> "Writer":
        """The same on another runtime, as `decoder` has loaded it; nothing is guessed."""
        other = Writer(self.manifest, cast(Reader, self._reader), decoder)
        other.generation = self.generation.alone
        return other

    def cut(self, text: Text) -> int:
        """How many tokens of a prompt are not read, where it leaves no room for `max_tokens` more (`_prompt`)."""
        return max(0, len(self._ids(self._framed(text))) - self._room)

    @property
    def _room(self) -> int:
        """Most tokens of a prompt."""
        return max(self._before + 1, self.manifest.max_length - self.generation.max_tokens + 1)

    @cached_property
    def _whole(self) -> Tokenizer:
        """The tokenizer without truncation."""
        return _whole(self._tokens)

    def _ids(self, encoding: Any) -> list[int]:
        """A prompt's tokens, without those that end a text."""
        ids = encoding.ids if not encoding.overflowing else self._whole.encode(encoding.text).ids
        return list(ids[: len(ids) - self._after])

    def _framed(self, text: Text) -> Encoded:
        """A request's tokens, as the model is asked."""
        return self.tokenize(self._task.framed(text) if isinstance(text, str) else text)

    def _prompt(self, encoding: Encoded) -> NDArray[np.int64]:
        """The tokens of a prompt that are read, [S].

        Of a long one those that training read: of a text that is answered the beginning, and what stands before the
        answer; of a text that is continued the end, behind what every text begins with.
        """
        ids, room = self._ids(encoding), self._room
        if len(ids) > room:
            kept = room - self._behind if self.judged_as_written else self._before
            if self.judged_as_written and self.generation.max_tokens > self.manifest.most_written:
                raise MillisError(
                    f"generation.max_tokens={self.generation.max_tokens} leaves nothing of a text within the "
                    f"{self.manifest.max_length} tokens that the model reads (task.max_length): expected fewer. Lower "
                    "generation.max_tokens, or make the artifact again with a larger task.max_length"
                )
            ids = [*ids[:kept], *ids[len(ids) - room + kept :]]
        if not ids:
            raise MillisError(
                "the prompt has no tokens, and the tokenizer puts none before it: there is nothing to go on from. Give "
                "a text"
            )
        return np.array(ids, np.int64)

    def _first(self, prompt: NDArray[np.int64]) -> Writing:
        decoder, room = cast(Decoder, self._session), self.manifest.max_length
        asks = self.generation.draft is not None and self.generation.draft.asks_a_model
        return self.generation.begin(decoder, prompt, self._vocabulary, room, self._smaller if asks else None)

    def _write(self, writing: Writing) -> Writing:
        writing.finish()
        return writing

    def reply(self, writing: Writing) -> Reply:
        """A text that was written as an answer."""
        return Reply(writing.text(), tuple(writing.tokens), str(writing.ended), writing.accepted, writing.refused)

    _STAGES: ClassVar[dict[str, Callable[[Any, Any], Any]]] = {
        "tokenize": _framed, "feed": _prompt, "first": _first, "write": _write, "decode": reply
    }  # fmt: skip


def _whole(tokenizer: Tokenizer) -> Tokenizer:
    """A copy without truncation."""
    found = Tokenizer.from_str(tokenizer.to_str())
    found.no_truncation()
    return found


def _serialized(tokenizer: Tokenizer) -> str:
    return str(_whole(tokenizer).to_str())


def _trailing(tokens: Sequence[int], ends: Sequence[int]) -> int:
    """How many of the last tokens end a text; what stands before an answer may have some in its middle."""
    return len(tokens) - next((at for at in range(len(tokens), 0, -1) if tokens[at - 1] not in ends), 0)


def _text(tokenizer: Tokenizer, ids: Sequence[int]) -> str:
    return str(tokenizer.decode(list(ids)))
