"""Texts to token ids, once: a split is tokenised a few thousand texts at a time and kept under its fingerprint."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from millis.data.beginning import beginning
from millis.data.dataset import Split
from millis.errors import without_panics
from millis.models import tokenizer as tokenizers
from millis.models.tokenizer import AnyTokenizer
from millis.store import atomic_file, fingerprint
from millis.types import Text

CHUNK_TEXTS = 2048  # tokenised together: 10 to 15 kB of Rust's memory each while they are
CHUNK_CHARACTERS = 2**20  # some 85 bytes for each, where a text cannot be shortened


@dataclass(frozen=True)
class Encoded:
    """A tokenised split, ragged rows laid end to end: row i is `ids[offsets[i]:offsets[i + 1]]`.

    Args:
        ids, token_types: [total tokens]; `token_types` is None for single texts.
        offsets: [N + 1].
        labels: [N].
        truncated: How many texts were longer than the model takes.
    """

    ids: NDArray[np.int32]
    token_types: NDArray[np.int32] | None
    offsets: NDArray[np.int64]
    labels: NDArray[np.int64]
    truncated: int

    def __len__(self) -> int:
        return len(self.labels)

    @property
    def lengths(self) -> NDArray[np.int64]:
        """Tokens of each row, [N]."""
        return np.diff(self.offsets)


def encode(split: Split, tokenizer: AnyTokenizer, max_length: int, cache: Path) -> Encoded:
    """Tokenise `split`, truncating to `max_length` tokens, or read what was tokenised before.

    Args:
        cache: Folder for `<fingerprint>.npz`; the fingerprint covers the texts, labels, tokenizer and length. A file
            there that is damaged is made anew.
    """
    path = cache / f"{fingerprint(split.texts, split.references, tokenizer.to_str(), max_length)}.npz"
    kept = _read(path, len(split)) if path.is_file() else None
    if kept is not None:
        return kept
    arrays = _tokenise(split, tokenizer, max_length)
    with atomic_file(path) as temporary, temporary.open("wb") as file:
        np.savez(file, allow_pickle=False, **arrays)
    return _encoded(arrays)


def _read(path: Path, rows: int) -> Encoded | None:
    """What was kept of a split of so many rows; None where the file is not what was written."""
    try:
        with path.open("rb") as file, np.load(file, allow_pickle=False) as arrays:  # of a damaged file it keeps hold
            kept = _encoded(arrays)
    except Exception:  # zip, zlib and NumPy each have their own
        return None
    whole = len(kept) == rows == len(kept.offsets) - 1 and len(kept.ids) == kept.offsets[-1]
    return kept if whole else None


def _encoded(arrays: Any) -> Encoded:
    types = arrays["token_types"]
    return Encoded(
        ids=arrays["ids"],
        token_types=types if len(types) else None,
        offsets=arrays["offsets"],
        labels=arrays["labels"],
        truncated=int(arrays["truncated"]),
    )


def _tokenise(split: Split, tokenizer: AnyTokenizer, max_length: int) -> dict[str, Any]:
    with without_panics("the model's tokenizer"):
        tokenizer = tokenizers.read(tokenizer.to_str())  # the caller's keeps its own settings
        tokenizer.enable_truncation(max_length)
        tokenizer.no_padding()
        pairs = bool(split.texts) and isinstance(split.texts[0], tuple)
        ids, types, lengths, truncated = [], [], [], 0
        for chunk in _chunks(map(beginning(tokenizer, max_length), split.texts)):
            encodings = tokenizer.encode_batch_fast(chunk)
            ids.append(_flat(encoding.ids for encoding in encodings))
            types.append(_flat(encoding.type_ids for encoding in encodings if pairs))
            lengths += [len(encoding.ids) for encoding in encodings]
            truncated += sum(bool(encoding.overflowing) for encoding in encodings)
    return {
        "ids": np.concatenate(ids),
        "token_types": np.concatenate(types),
        "offsets": np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64),
        "labels": np.asarray(split.references, dtype=np.int64),
        "truncated": np.asarray(truncated),
    }


def _chunks(texts: Iterable[Text]) -> Iterator[list[Text]]:
    """`texts` in lists of bounded size."""
    chunk: list[Text] = []
    characters = 0
    for text in texts:
        chunk.append(text)
        characters += len(text) if isinstance(text, str) else sum(map(len, text))
        if len(chunk) == CHUNK_TEXTS or characters >= CHUNK_CHARACTERS:
            yield chunk
            chunk, characters = [], 0
    if chunk:
        yield chunk


def _flat(rows: Iterable[Sequence[int] | NDArray[np.int64]]) -> NDArray[np.int32]:
    return np.fromiter(chain.from_iterable(rows), np.int32)
