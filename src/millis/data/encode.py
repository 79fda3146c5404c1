"""Texts to token ids and targets, once: a split is tokenised in chunks and kept under its fingerprint."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from millis.data.beginning import beginning
from millis.data.dataset import Split
from millis.data.references import IGNORED, Learned
from millis.errors import without_panics
from millis.models import tokenizer as tokenizers
from millis.models.tokenizer import AnyTokenizer
from millis.store import atomic_file, fingerprint
from millis.types import Output, Text

CHUNK_TEXTS = 2048  # tokenised together: 10 to 15 kB of Rust's memory each while they are
CHUNK_CHARACTERS = 2**20  # some 85 bytes for each, where a text cannot be shortened

TARGETS = "target/"  # before an output's name


@dataclass(frozen=True)
class Encoded:
    """A tokenised split, ragged rows laid end to end: row i is `ids[offsets[i]:offsets[i + 1]]`.

    Args:
        ids, token_types: [total tokens]; `token_types` is None where single texts are read.
        offsets: [N + 1].
        targets: Output → what is learned: per text [N] or [N, C], per token [total tokens]
            (`millis.data.references`).
        outputs: Of the task.
        truncated: How many texts were longer than the model takes.
    """

    ids: NDArray[np.int32]
    token_types: NDArray[np.int32] | None
    offsets: NDArray[np.int64]
    targets: Mapping[str, NDArray[Any]]
    outputs: tuple[Output, ...]
    truncated: int

    def __len__(self) -> int:
        return len(self.offsets) - 1

    @property
    def lengths(self) -> NDArray[np.int64]:
        """Tokens of each row, [N]."""
        return np.diff(self.offsets)

    def positions(self, output: Output) -> NDArray[np.int64]:
        """Where each row's positions of `output` lie among all rows' (`millis.data.positions`), [N + 1]."""
        if output.per == "text":
            return np.arange(len(self) + 1) * (output.width if output.choice == "each" else 1)
        asked = np.concatenate([[0], np.cumsum(self.targets[output.name] != IGNORED)])
        found: NDArray[np.int64] = asked[self.offsets]
        return found


class Task(Protocol):
    """What a task says of its outputs and of what is learned."""

    @property
    def outputs(self) -> tuple[Output, ...]: ...

    @property
    def references(self) -> Learned: ...


def encode(split: Split, tokenizer: AnyTokenizer, max_length: int, cache: Path, task: Task) -> Encoded:
    """Tokenise `split`, truncating to `max_length` tokens, or read what was tokenised before.

    Args:
        cache: Folder for `<fingerprint>.npz`; the fingerprint covers the texts, references, tokenizer and
            length. A file there that is damaged is made anew.
        task: Whose references they are.
    """
    read = task.references.spelled(split.texts, split.references)
    pairs = bool(read) and isinstance(read[0], tuple)
    said = (split.texts, split.references, tokenizer.to_str(), max_length, repr(task.references))
    key = fingerprint(*said, pairs)
    path = cache / f"{key}.npz"
    kept = _read(path, len(split), task) if path.is_file() else None
    if kept is not None:
        return kept
    arrays = _tokenise(split, read, tokenizer, max_length, task)
    with atomic_file(path) as temporary, temporary.open("wb") as file:
        np.savez(file, allow_pickle=False, **arrays)
    return _encoded(arrays, task)


def _read(path: Path, rows: int, task: Task) -> Encoded | None:
    """What was kept of a split of so many rows; None where the file is not what was written."""
    try:
        with path.open("rb") as file, np.load(file, allow_pickle=False) as arrays:  # of a damaged file it keeps hold
            kept = _encoded(arrays, task)
    except Exception:  # zip, zlib and NumPy each have their own
        return None
    whole = len(kept) == rows and len(kept.ids) == kept.offsets[-1]
    lengths = {"text": rows, "token": len(kept.ids)}
    fits = all(len(kept.targets[output.name]) == lengths[output.per] for output in task.outputs)
    return kept if whole and fits else None


def _encoded(arrays: Any, task: Task) -> Encoded:
    types = arrays["token_types"]
    return Encoded(
        ids=arrays["ids"],
        token_types=types if len(types) else None,
        offsets=arrays["offsets"],
        targets={output.name: arrays[TARGETS + output.name] for output in task.outputs},
        outputs=task.outputs,
        truncated=int(arrays["truncated"]),
    )


def _tokenise(
    split: Split, read: Sequence[Text], tokenizer: AnyTokenizer, max_length: int, task: Task
) -> dict[str, Any]:
    references = task.references
    ids, types, lengths, targets, truncated, done = [], [], [], [], 0, 0
    pairs = bool(read) and isinstance(read[0], tuple)
    for chunk in _encoded_chunks(read, tokenizer, max_length, references.reads_offsets):
        rows = slice(done, done := done + len(chunk))
        targets.append(references.targets(split.texts[rows], split.references[rows], chunk))
        ids.append(_flat(encoding.ids for encoding in chunk))
        types.append(_flat(encoding.type_ids for encoding in chunk if pairs))
        lengths += [len(encoding.ids) for encoding in chunk]
        truncated += sum(bool(encoding.overflowing) for encoding in chunk)
    return {
        "ids": np.concatenate(ids),
        "token_types": np.concatenate(types),
        "offsets": np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64),
        **{
            TARGETS + output.name: np.concatenate(parts)
            for output, parts in zip(task.outputs, zip(*targets, strict=True), strict=True)
        },
        "truncated": np.asarray(truncated),
    }


def encodings(texts: Sequence[Text], tokenizer: AnyTokenizer, max_length: int, offsets: bool) -> Iterator[Any]:
    """The tokens of each text, truncated to `max_length`.

    Args:
        offsets: Whether to know where in the text each token stands, which takes longer.
    """
    return chain.from_iterable(_encoded_chunks(texts, tokenizer, max_length, offsets))


def _encoded_chunks(
    texts: Sequence[Text], tokenizer: AnyTokenizer, max_length: int, offsets: bool
) -> Iterator[list[Any]]:
    with without_panics("the model's tokenizer"):
        tokenizer = tokenizers.read(tokenizer.to_str())  # the caller's keeps its own settings
        tokenizer.enable_truncation(max_length)
        tokenizer.no_padding()
        encode_batch: Any = tokenizer.encode_batch if offsets else tokenizer.encode_batch_fast
        for chunk in _chunks(map(beginning(tokenizer, max_length), texts)):
            yield encode_batch(chunk)


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
