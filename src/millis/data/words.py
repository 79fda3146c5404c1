"""Words: what blanks divide a text into, and the token at which each of them begins."""

import re
from collections.abc import Sequence
from typing import Any

_WORD = re.compile(r"\S+")


def words(text: str) -> list[tuple[int, int]]:
    """Where each word begins and ends, in characters."""
    return [match.span() for match in _WORD.finditer(text)]


def first_pieces(places: Sequence[tuple[int, int]], encoding: Any) -> list[int | None]:
    """The position of each word's first token; None where no token is the word's, as past a truncation.

    A token belongs to the word that its last character is in: some tokenizers count the blank before a word as its own.

    Args:
        places: As `words` has them.
        encoding: The text's tokens, with offsets.
    """
    found: list[int | None] = [None] * len(places)
    word = 0
    for position, ((start, end), special) in enumerate(
        zip(encoding.offsets, encoding.special_tokens_mask, strict=True)
    ):
        if special or start == end:
            continue
        while word < len(places) and places[word][1] < end:
            word += 1
        if word == len(places):
            break
        if found[word] is None and places[word][0] < end:
            found[word] = position
    return found
