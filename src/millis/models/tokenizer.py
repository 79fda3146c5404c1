"""Tokenizers of both kinds, by what `tokenizer.json` says: those of the library `tokenizers`, and n-grams."""

import json
from typing import TypeAlias

from tokenizers import Tokenizer

from millis.models.ngrams import TYPE, NgramTokenizer

AnyTokenizer: TypeAlias = Tokenizer | NgramTokenizer


def read(serialized: str) -> AnyTokenizer:
    """A tokenizer from the text of its `tokenizer.json`.

    Raises:
        Exception: not one; `tokenizers` raises bare ones.
    """
    head = serialized[:200]
    if f'"type": "{TYPE}"' in head and json.loads(serialized).get("type") == TYPE:
        return NgramTokenizer.from_str(serialized)
    return Tokenizer.from_str(serialized)


def longest(tokenizer: AnyTokenizer, tokens: int) -> int:
    """Most ids of a text: `tokens`, or, where ids are no tokens, what the longest text that is read has."""
    return tokenizer.max_length if isinstance(tokenizer, NgramTokenizer) else tokens
