"""One text to its tokens: WordPiece by `nanotoken`, where that is installed.

Of a small student's request tokens are the largest part. For short texts `tokenizers` takes some 16 µs and this some 2,
and the tokens are the same: `benchmarks/tokenization.py` compares and times both on the texts of any folder. It reads
single texts without offsets; pairs, words with tags and other kinds of tokenizers stay with `tokenizers`.
"""

from collections.abc import Callable
from functools import cache
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from tokenizers import Tokenizer

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


def quick(
    tokenizer: Tokenizer, serialized: str, largest_id: int, max_length: int
) -> Callable[[str], QuickEncoding] | None:
    """What tokenizes single texts as `tokenizer` does; None where it alone can.

    Args:
        serialized: Its `tokenizer.json`.
        largest_id: Of its tokens.
        max_length: Most tokens of a text, special ones included; a longer text's last words are cut off.
    """
    library = _library()
    if library is None or largest_id >= MOST_IDS:
        return None
    try:
        quicker = library.WordPieceTokenizer.from_json(serialized)
    except ValueError:  # of another kind, or with a rule that it does not have
        return None
    suffix = np.array(quicker.suffix_ids, np.uint32)
    kept = max_length - len(suffix)
    if kept < len(quicker.prefix_ids) or quicker.token_to_id(quicker.unk_token) is None:
        return None  # `tokenizers` says what is wrong
    added = {one["content"]: one["id"] for one in quicker.added_tokens}
    if any(not content.strip() or tokenizer.token_to_id(content) != number for content, number in added.items()):
        return None  # an added token with another id in the vocabulary: the libraries take different ones
    encode = quicker.encode

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
