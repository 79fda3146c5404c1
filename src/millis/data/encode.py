"""Texts to token ids, once: a split is tokenised in one batch call and kept under its fingerprint."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from millis.data.dataset import Split
from millis.models import tokenizer as tokenizers
from millis.models.tokenizer import AnyTokenizer
from millis.store import atomic_file, fingerprint


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
        cache: Folder for `<fingerprint>.npz`; the fingerprint covers the texts, labels, tokenizer and length.
    """
    path = cache / f"{fingerprint(split.texts, split.labels, tokenizer.to_str(), max_length)}.npz"
    if not path.is_file():
        with atomic_file(path) as temporary, temporary.open("wb") as file:
            np.savez(file, allow_pickle=False, **_tokenise(split, tokenizer, max_length))
    with np.load(path, allow_pickle=False) as arrays:
        types = arrays["token_types"]
        return Encoded(
            ids=arrays["ids"],
            token_types=types if len(types) else None,
            offsets=arrays["offsets"],
            labels=arrays["labels"],
            truncated=int(arrays["truncated"]),
        )


def _tokenise(split: Split, tokenizer: AnyTokenizer, max_length: int) -> dict[str, Any]:
    tokenizer = tokenizers.read(tokenizer.to_str())  # the caller's keeps its own settings
    tokenizer.enable_truncation(max_length)
    tokenizer.no_padding()
    encodings = tokenizer.encode_batch(list(split.texts))
    pairs = bool(split.texts) and isinstance(split.texts[0], tuple)
    lengths = [len(encoding.ids) for encoding in encodings]
    flat_types = np.concatenate([encoding.type_ids for encoding in encodings]) if pairs else np.empty(0)
    return {
        "ids": np.concatenate([encoding.ids for encoding in encodings]).astype(np.int32),
        "token_types": flat_types.astype(np.int32),
        "offsets": np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64),
        "labels": np.asarray(split.labels, dtype=np.int64),
        "truncated": np.asarray(sum(bool(encoding.overflowing) for encoding in encodings)),
    }
