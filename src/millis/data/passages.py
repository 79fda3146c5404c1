"""Passages: documents cut to pieces that a language model reads at once.

They are cut by characters, not by tokens, so that models with different tokenizers are judged on the same passages
(bits per byte compare them). Each is read by itself: no passage is context of the next.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, NamedTuple

import numpy as np
from numpy.typing import NDArray

from millis.data.cells import CellError, text_of
from millis.data.columns import check
from millis.data.dataset import Split
from millis.data.one_label import empty
from millis.data.references import IGNORED, Read, Source, TextsAlone
from millis.errors import MillisError
from millis.types import Text

SHORTEST = 16  # characters: shorter passages have hardly anything to predict from


class Passage(NamedTuple):
    """What there is to know of a passage beside its text.

    Args:
        bytes: Of its UTF-8 form.
        ends: Whether its document ends with it.
    """

    bytes: int
    ends: bool


@dataclass(frozen=True)
class Passages(TextsAlone):
    """References say how many bytes a passage has, and whether its document ends there.

    Args:
        length: Most characters of a passage.

    Raises:
        MillisError: too few.
    """

    length: int
    reads_offsets: ClassVar[bool] = False

    def __post_init__(self) -> None:
        if self.length < SHORTEST:
            raise MillisError(f"task.passage={self.length}: expected at least {SHORTEST} characters")

    def read(self, source: Source) -> Read:
        """Passages of every document; documents without a visible character have none.

        Raises:
            MillisError: an empty split, a missing column, pairs, or a cell that holds no text.
        """
        splits = {}
        for split, tables in source.tables.items():
            documents = [text for table in tables if table.columns for text in _documents(table, source)]
            found = [passage for document in documents for passage in self.cut(document)]
            if not found:
                raise empty(source.name, split)
            splits[split] = Split([text for text, _ in found], [reference for _, reference in found])
        return Read({}, splits)

    def cut(self, document: str) -> Iterator[tuple[str, Passage]]:
        """The passages of a document with their references, which together are the document.

        A passage ends before a blank in its second half where there is one, the last; else after `length` characters.
        """
        if not document.strip():
            return
        start = 0
        while start < len(document):
            end = min(len(document), start + self.length)
            if end < len(document):
                places = range(end, start + self.length // 2, -1)
                end = next((place for place in places if document[place].isspace()), end)
            text = document[start:end]
            yield text, Passage(len(text.encode()), end == len(document))
            start = end

    def stratum(self, reference: Passage) -> None:
        """None: splits are cut at random."""

    def group(self, reference: Passage) -> None:
        """None: each passage stands for itself."""

    def targets(
        self, texts: Sequence[Text], references: Sequence[Passage], encodings: Sequence[Any]
    ) -> tuple[NDArray[np.int64]]:
        """At each token the one that comes next, [tokens]; nothing does after the last.

        Special tokens after a text, which say that it ends, are learned where its document ends and all of it was read.
        """
        targets, begin = np.full(sum(len(encoding.ids) for encoding in encodings), IGNORED, np.int64), 0
        for reference, encoding in zip(references, encodings, strict=True):
            length = len(encoding.ids)
            last = length if reference.ends and not encoding.overflowing else len(read_of(encoding))
            targets[begin : begin + max(0, last - 1)] = encoding.ids[1:last]
            begin += length
        return (targets,)

    def unanswered(self, text: Text) -> Passage:
        """That of a whole document."""
        return Passage(len(str(text).encode()), ends=True)

    def answered(self, text: Text, categories: Any, encoding: Any) -> Passage:
        """The same: a text's own tokens are what there is to learn."""
        return self.unanswered(text)


def read_of(encoding: Any) -> list[int]:
    """A text's token ids without the special tokens after it."""
    ids, special = list(encoding.ids), encoding.special_tokens_mask
    while ids and special[len(ids) - 1]:
        ids.pop()
    return ids


def _documents(table: Any, source: Source) -> Iterator[str]:
    columns = source.columns.texts(table)
    check(table, columns)
    if len(columns) > 1:
        raise MillisError(
            f"{table.where} has pairs of texts ({' and '.join(columns)}), and a language model reads single ones. Name "
            "their column with data.text=..."
        )
    for number, cells in enumerate(table.cells(columns), start=1):
        try:
            yield text_of(cells[0], columns[0])
        except CellError as error:
            raise MillisError(f"{table.where}, row {number}: {error}") from error
