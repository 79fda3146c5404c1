"""Beam search: several texts are followed at once, and the likeliest that has ended is written (Sutskever et al. 2014,
1409.3215, section 3.2; compared by length as in Wu et al. 2016, 1609.08144, section 7, without their constant).

A text y of T tokens, its end counted, has the score log p(y) / T^α. At each step the likeliest `width` continuations of
all texts are kept; those that end are put aside, and once there are `width` of them the best one is the answer.

No token is certain before the end, so that the first one takes as long as all of them. A decoder that searches by
itself (`millis.types.Searching`) does; with any other, each text has a continuation of its own, which is rewound to
what it shares with the text that it follows next.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from millis.errors import MillisError
from millis.generation.contract import Generation
from millis.generation.greedy import largest
from millis.generation.writing import Choose, Limits, Searched, Vocabulary, Writing, no_numbers
from millis.traits import Traits
from millis.types import Decoder, Search


@dataclass(frozen=True)
class Beam(Generation):
    """The likeliest text that is found.

    Args:
        width: Texts that are followed at once; 1 writes what `greedy` does.
        length_penalty: α; 0 compares texts by probability alone, which likes short ones.

    Raises:
        MillisError: a width below 1, a negative penalty, or a form or a draft, which a search does not write by.
    """

    width: int = 4
    length_penalty: float = 1.0

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.width < 1:
            raise MillisError(f"generation.width={self.width}: expected 1 or more texts")
        if self.length_penalty < 0:
            raise MillisError(f"generation.length_penalty={self.length_penalty}: expected 0 or more")
        for name, given in (("choices", self.choices), ("regex", self.regex), ("draft", self.draft)):
            if given:
                raise MillisError(
                    f"generation.{name} with generation=beam: a search follows several texts, and writes none by a "
                    "form or by guesses. Choose generation=greedy, or leave it out"
                )

    @property
    def traits(self) -> Traits:
        """Engines that search do so."""
        return ()

    def chooser(self) -> Choose:
        """Of one beam."""
        return largest

    def search(self, limits: Limits) -> Search:
        """So many beams."""
        return Search(self.width, self.length_penalty, limits.most, limits.least)

    def begin(
        self,
        decoder: Decoder,
        prompt: Sequence[int] | NDArray[np.int64],
        vocabulary: Vocabulary,
        context: int | None = None,
        smaller: Decoder | None = None,
    ) -> Writing:
        """Search, and write what was found; as `Generation.begin`."""
        if hasattr(decoder, "search"):
            return super().begin(decoder, prompt, vocabulary, context, smaller)
        tokens = np.asarray(prompt, np.int64)
        limits = self._limits(tokens, context)
        return Searched(_found(decoder, tokens, vocabulary.ends, self.search(limits)), vocabulary, limits)


class _Text(NamedTuple):
    """One that is followed."""

    score: float  # log-probability
    tokens: tuple[int, ...]
    logits: NDArray[np.float32]  # of the next


class _Slot:
    """A continuation that reads one text after the other, as far as they differ."""

    def __init__(self, decoder: Decoder, prompt: NDArray[np.int64], room: int) -> None:
        self._continuation, self._prompt = decoder.begin(room), prompt
        self.tokens: tuple[int, ...] = ()

    def after(self, tokens: tuple[int, ...]) -> NDArray[np.float32]:
        """Logits [V] after `tokens`."""
        if not self._continuation.length:
            found = self._continuation.read(self._prompt)
        if tokens:
            shared = min(_shared(self.tokens, tokens), len(tokens) - 1)
            self._continuation.rewind(len(self._prompt) + shared)
            found = self._continuation.read(np.array(tokens[shared:], np.int64))
        self.tokens = tokens
        logits: NDArray[np.float32] = found[0].copy()
        return logits


def _found(decoder: Decoder, prompt: NDArray[np.int64], ends: Sequence[int], search: Search) -> Iterator[int]:
    """The tokens of the best text, its end not among them."""
    slots = [_Slot(decoder, prompt, len(prompt) + search.most - 1) for _ in range(search.width)]
    texts = [_Text(0.0, (), slots[0].after(()))]
    ended: list[tuple[float, tuple[int, ...]]] = []
    for length in range(1, search.most + 1):
        kept: list[tuple[float, tuple[int, ...]]] = []
        for rank, (score, tokens, token) in enumerate(_likeliest(texts, ends, search, length)):
            if token in ends:
                if rank < search.width:
                    ended.append((score / length**search.length_penalty, tokens))
            elif len(kept) < search.width:
                kept.append((score, (*tokens, token)))
        if len(ended) >= search.width or not kept:
            break
        if length == search.most:
            ended += [(score / length**search.length_penalty, tokens) for score, tokens in kept]
            break
        texts = _followed(slots, kept)
    yield from max(ended, key=lambda one: one[0])[1]


def _likeliest(
    texts: Sequence[_Text], ends: Sequence[int], search: Search, length: int
) -> list[tuple[float, tuple[int, ...], int]]:
    """The likeliest continuations by a token, (log-probability, text, token): enough that, if all that end are among
    them, as many go on as texts are followed."""
    scores = np.stack([_log_probabilities(text.logits) + text.score for text in texts])
    if length <= search.least:
        scores[:, list(ends)] = -np.inf
    width = scores.shape[1]
    order = _largest(scores.ravel(), (1 + max(1, len(ends))) * search.width)
    places = [divmod(place, width) for place in order.tolist()]
    return [
        (float(scores[text, token]), texts[text].tokens, token)
        for text, token in places
        if np.isfinite(scores[text, token])
    ]


def _largest(values: NDArray[np.float64], count: int) -> NDArray[np.intp]:
    """Places of the `count` largest of values [N], the largest first and of equal ones the earlier first."""
    least = np.partition(values, -count)[-count] if count < len(values) else -np.inf
    places = np.flatnonzero(values >= least)
    return places[np.argsort(-values[places], kind="stable")[:count]]


def _log_probabilities(logits: NDArray[np.float32]) -> NDArray[np.float64]:
    """Of logits [V]."""
    values = logits.astype(np.float64)
    largest_of = float(values.max())
    if not np.isfinite(largest_of):
        raise no_numbers(len(values), largest_of)
    shifted: NDArray[np.float64] = values - largest_of
    found: NDArray[np.float64] = shifted - np.log(np.exp(shifted).sum())
    return found


def _followed(slots: Sequence[_Slot], kept: Sequence[tuple[float, tuple[int, ...]]]) -> list[_Text]:
    """The texts with what comes next, each read where most of it was read before."""
    free, texts = list(slots), []
    for score, tokens in kept:
        slot = max(free, key=lambda one: _shared(one.tokens, tokens))
        free.remove(slot)
        texts.append(_Text(score, tokens, slot.after(tokens)))
    return texts


def _shared(one: Sequence[int], other: Sequence[int]) -> int:
    """How many tokens two texts begin with alike."""
    return next((at for at, (ours, theirs) in enumerate(zip(one, other, strict=False)) if ours != theirs),
                min(len(one), len(other)))  # fmt: skip
