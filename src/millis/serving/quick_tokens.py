"""One text to its tokens in a microsecond: WordPiece by `nanotoken`, where that is installed.

`tokenizers` takes 15 to 20 µs for ten words, two thirds of what a small student's whole request takes; `nanotoken`
takes 1, and its tokens are the same: `benchmarks/tokenization.py` compares them on every text of a folder of data sets.
It reads single texts without offsets; pairs, words with tags and other kinds of tokenizers stay with `tokenizers`.
"""

import json
from collections.abc import Callable
from functools import cache
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

CACHED = 2**16  # words and pieces that are remembered, a thread: 8 MB when full
MOST_IDS = 2**22  # it makes room for as many as the largest says, of which a damaged file may say anything


class QuickEncoding(NamedTuple):
    """A text's tokens.

    Args:
        ids: [S].
        overflowing: Whether the text is longer than is read.
    """

    ids: NDArray[np.uint32]
    overflowing: bool

    @property
    def n_sequences(self) -> int:
        """It is no pair."""
        return 1


def quick(serialized: str, largest_id: int, max_length: int) -> Callable[[str], QuickEncoding] | None:
    """What tokenizes as the `tokenizer.json` in `serialized` says; None where only `tokenizers` can.

    Args:
        largest_id: Of its tokens.
        max_length: Most tokens of a text, special ones included; a longer text's last words are cut off.
    """
    library = _library()
    if library is None or largest_id >= MOST_IDS:
        return None
    try:
        tokenizer = library.WordPieceTokenizer.from_json(serialized)
    except ValueError:  # of another kind, or with a rule that it does not have
        return None
    suffix = np.array(tokenizer.suffix_ids, np.uint32)
    kept = max_length - len(suffix)
    if kept < len(tokenizer.prefix_ids) or tokenizer.token_to_id(tokenizer.unk_token) is None:
        return None  # `tokenizers` says what is wrong
    values = json.loads(serialized)
    vocabulary = values["model"]["vocab"]
    if any(one["content"].strip() == "" or one["id"] != vocabulary.get(one["content"], one["id"])
           for one in values.get("added_tokens", ())):  # fmt: skip
        return None  # which of two ids an added token has, libraries see differently
    encode = tokenizer.encode

    def tokens(text: str) -> QuickEncoding:
        ids: NDArray[np.uint32] = encode(text)
        if len(ids) <= max_length:
            return QuickEncoding(ids, overflowing=False)
        return QuickEncoding(np.concatenate([ids[:kept], suffix]), overflowing=True)

    return tokens


@cache
def _library() -> Any:
    try:
        import nanotoken
    except ImportError:
        return None
    nanotoken.set_cache_entries(CACHED)
    return nanotoken
