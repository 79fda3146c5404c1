"""Mixing: a span of one text in the place of a span of another, CutMix (Yun et al. 2019, 1905.04899) on words.

There the label is mixed as the pixels are; here the teacher says what the mixture is.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from tokenizers import Tokenizer

from millis.data.augment import Change, check_share, each_part, stripped
from millis.types import Text, parts_of


@dataclass(frozen=True)
class Mix:
    """Replaces a span of a text's words by as many of another text's, drawn anew each time.

    Words are the tokenizer's, so languages without spaces are mixed too. In a pair each text is mixed with its
    counterpart in the other pair.

    Args:
        share: Of the words that are replaced, at least one; fewer where the other text is shorter.

    Raises:
        MillisError: a share outside (0, 1].
    """

    share: float = 0.3

    def __post_init__(self) -> None:
        check_share("augmentation.methods.share", self.share)

    def over(self, texts: Sequence[Text], tokenizer: Tokenizer, table: NDArray[np.float32]) -> Change:
        """Prepare to mix `texts` with each other; the table is not read."""

        parts = dict.fromkeys(part for text in texts for part in parts_of(text))
        spans = {part: words(part, tokenizer) for part in parts}

        def change(row: int, generator: np.random.Generator) -> Text:
            if len(texts) < 2:
                return texts[row]
            other = texts[(row + int(generator.integers(1, len(texts)))) % len(texts)]
            counterparts = iter((other,) if isinstance(other, str) else other)
            return each_part(texts[row], lambda text: self._mixed(text, next(counterparts), spans, generator))

        return change

    def _mixed(
        self, text: str, other: str, spans: dict[str, list[tuple[int, int]]], generator: np.random.Generator
    ) -> str:
        mine, theirs = spans[text], spans[other]
        length = min(max(1, round(self.share * len(mine))), len(mine), len(theirs))
        if length == 0:
            return text
        at = int(generator.integers(len(mine) - length + 1))
        source = int(generator.integers(len(theirs) - length + 1))
        taken = other[theirs[source][0] : theirs[source + length - 1][1]]
        return text[: mine[at][0]] + taken + text[mine[at + length - 1][1] :]


def words(text: str, tokenizer: Tokenizer) -> list[tuple[int, int]]:
    """Start and end of each word in `text`, as the tokenizer splits it; special tokens in it are words of their own."""
    encoding = tokenizer.encode(text, add_special_tokens=False)
    spans: dict[tuple[int | None, int], tuple[int, int]] = {}
    for at, (word, (start, end)) in enumerate(zip(encoding.word_ids, encoding.offsets, strict=True)):
        key = (word, -1 if word is not None else at)  # a special token has no word
        spans[key] = (min(start, spans[key][0]), max(end, spans[key][1])) if key in spans else (start, end)
    return [stripped(text, span) for span in spans.values() if text[span[0] : span[1]].strip()]
