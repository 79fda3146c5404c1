"""Tokenizers of both kinds, by what `tokenizer.json` says: those of the library `tokenizers`, and n-grams."""

import json
from typing import TypeAlias

from tokenizers import Tokenizer

from millis.models.ngrams import TYPE, NgramTokenizer

AnyTokenizer: TypeAlias = Tokenizer | NgramTokenizer
PAD_TOKENS = ("[PAD]", "<pad>")


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


def pad_id(tokenizer: AnyTokenizer) -> int:
    """Token id of padding; 0 where the tokenizer names none, for padding is masked."""
    found = (tokenizer.token_to_id(token) for token in PAD_TOKENS)
    return next((token for token in found if token is not None), 0)
