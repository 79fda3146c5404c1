"""Look-up: what came after the same words earlier in the text comes again (prompt lookup decoding, Saxena 2023).

It costs microseconds and no model, and is right where a text repeats its prompt: summaries, corrected text, code.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from millis.errors import MillisError
from millis.generation.draft import Draft
from millis.generation.writing import Drafter
from millis.types import Decoder


@dataclass(frozen=True)
class Lookup(Draft):
    """The tokens that followed the latest place where the text has its own end already.

    Of ends of `longest` to `shortest` tokens the longest that is found counts, as in the source. Of its places the
    latest counts, where the source takes the first: what was written last is most like what comes. A place so late that
    fewer tokens follow is read on into the guesses themselves (as LZ77 copies), so that "ab ab" goes on with "ab ab".

    Args:
        tokens: Most guesses that are read at once.
        longest: Most tokens of the text's end that are looked up.
        shortest: Fewest. The source has 1: then something is guessed at every second token of English prose, and one
            in six is right. With 2 it is at every ninth, and one in three (`benchmarks/generation.py`); what is copied
            from a prompt is found a token later.

    Raises:
        MillisError: as `Draft`, or ends that cannot be.
    """

    tokens: int = 10  # as in the source
    longest: int = 3  # the same
    shortest: int = 2

    def __post_init__(self) -> None:
        super().__post_init__()
        if not 1 <= self.shortest <= self.longest:
            raise MillisError(
                f"generation.draft.shortest={self.shortest} and longest={self.longest}: expected 1 ≤ shortest ≤ longest"
            )

    def drafter(self, prompt: NDArray[np.int64], room: int, size: int, smaller: Decoder | None) -> Drafter:
        """What looks up in one text."""
        return _Looking(self, prompt, room)


class _Looking:
    """The tokens of one text, prompt and what is written, in a row."""

    def __init__(self, draft: Lookup, prompt: NDArray[np.int64], room: int) -> None:
        self._draft, self._prompt, self._length = draft, len(prompt), len(prompt)
        self._tokens = np.empty(room + 1, np.int64)  # the last token that is written is not read
        self._tokens[: self._length] = prompt

    def propose(self, written: Sequence[int], most: int) -> NDArray[np.int64]:
        """As `Drafter`."""
        fresh = written[self._length - self._prompt :]
        self._tokens[self._length : self._length + len(fresh)] = fresh
        self._length += len(fresh)
        tokens = self._tokens[: self._length]
        place = self._place(tokens)
        after = tokens[len(tokens) if place is None else place + 1 :]
        return np.resize(after, min(self._draft.tokens, most)) if len(after) else after

    def _place(self, tokens: NDArray[np.int64]) -> int | None:
        """Where the latest place ends that has the longest end of `tokens`, before that end itself."""
        places = np.flatnonzero(tokens[:-1] == tokens[-1])
        matched = 1
        while len(places) and matched < min(self._draft.longest, len(tokens) - 1):
            longer = places[places >= matched]
            longer = longer[tokens[longer - matched] == tokens[-1 - matched]]
            if not len(longer):
                break
            places, matched = longer, matched + 1
        return int(places[-1]) if len(places) and matched >= self._draft.shortest else None
