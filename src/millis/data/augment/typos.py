"""Typos: slipped keys in some of the words. What users type is not what a training set holds."""

import re
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from tokenizers import Tokenizer

from millis.data.augment import Change, check_share, drawn, each_part, special_tokens
from millis.types import Text

ROWS = ("qwertyuiop", "asdfghjkl", "zxcvbnm")
BESIDE = {key: row[max(0, at - 1) : at] + row[at + 1 : at + 2] for row in ROWS for at, key in enumerate(row)}
"""Keys left and right of each on a QWERTY keyboard."""

WORD = re.compile(r"[^\W\d_]{3,}")  # in two letters a slip leaves nothing to recognise


@dataclass(frozen=True)
class Typos:
    """One slip in some words of three letters or more: a neighbouring key, or a letter dropped, doubled or swapped.

    A word's first letter stays, as it mostly does when people type (and a word is found by it).

    Args:
        share: Of those words that are changed; at least one is.

    Raises:
        MillisError: a share outside (0, 1].
    """

    share: float = 0.2

    def __post_init__(self) -> None:
        check_share("augmentation.methods.share", self.share)

    def over(self, texts: Sequence[Text], tokenizer: Tokenizer, table: NDArray[np.float32]) -> Change:
        """Prepare to misspell `texts`; the table is not read."""
        special = special_tokens(tokenizer)
        aside = re.compile("|".join(map(re.escape, sorted(special, key=len, reverse=True))) or r"(?!)")
        return lambda row, generator: each_part(texts[row], lambda text: self._changed(text, aside, generator))

    def _changed(self, text: str, aside: re.Pattern[str], generator: np.random.Generator) -> str:
        taken = [found.span() for found in aside.finditer(text)]
        words = [
            found for found in WORD.finditer(text)
            if not any(found.start() < end and start < found.end() for start, end in taken)
        ]  # fmt: skip
        for index in reversed(drawn(len(words), self.share, generator)):  # from the end, so that places stay right
            start, end = words[index].span()
            text = text[:start] + slip(text[start:end], generator) + text[end:]
        return text


def slip(word: str, generator: np.random.Generator) -> str:
    """`word`, of three letters or more, with one slipped key after its first letter."""
    at = int(generator.integers(1, len(word) - 1))
    letter, following = word[at], word[at + 1]
    beside = BESIDE.get(letter.lower(), letter)
    key = beside[int(generator.integers(len(beside)))]
    forms = (
        (key.upper() if letter.isupper() else key) + following,
        following,
        letter + letter + following,
        following + letter,
    )
    return word[:at] + forms[int(generator.integers(len(forms)))] + word[at + 2 :]
