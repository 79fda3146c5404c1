"""A text for each text, such as its translation or its summary; where several are right, evaluation knows them all."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import chain
from typing import Any, ClassVar, TypeAlias

import numpy as np
from numpy.typing import NDArray

from millis.data.cells import CellError, listed, written_of
from millis.data.dataset import Split
from millis.data.references import IGNORED, Read, Source
from millis.data.table import Table
from millis.data.texts import Row, answered, rows_of
from millis.errors import MillisError, nearest
from millis.types import Text

WRITTEN = ("text to write", "texts to write")  # one answer, several
FEW = 20  # rows to a text, of which more are likely labels
Right: TypeAlias = str | tuple[str, ...]
"""A text, or several of which each is right."""


@dataclass(frozen=True)
class Written:
    """References are texts, or tuples of texts.

    Args:
        column: Of the texts to write; None takes the data's column of labels (`data.label`).
        several: Column of validation and test with a list of all texts that are right, which then takes the place of
            the one in `column`; None where one is. Models learn the one in `column` alone.
        instruction: What a model reads before every text.
    """

    column: str | None = None
    several: str | None = None
    instruction: str = ""
    reads_offsets: ClassVar[bool] = False

    def read(self, source: Source) -> Read:
        """Texts; see `millis.data.references.References`.

        Raises:
            MillisError: an empty split, a missing column, one that is read as well as written, or a cell that holds no
                text and is not to be left out.
        """
        column, splits = self.column or source.columns.label, dict[str, Split]()
        for split, tables in source.tables.items():
            self._refuse_others(tables, source, column)
            rows = rows_of(source.name, split, tables, source.columns, column, option="task.target")
            right = [_one(row, column) for row in rows]
            if self.several is not None and split != "train":
                listings = self._several(rows, tables)
                right = [_right(every) or one for every, one in zip(listings, right, strict=True)]
            found = answered(split, rows, right, column, WRITTEN, source.unseen, source.notes)
            if found:
                kept, texts = zip(*found, strict=True)
                splits[split] = Split([row.text for row in kept], list(texts))
        source.notes.extend(_suspicions(splits["train"], column))
        return Read({}, splits)

    def stratum(self, reference: Right) -> None:
        """None: splits are cut at random."""

    def group(self, reference: Right) -> None:
        """None: each row stands for itself."""

    def spelled(self, texts: Sequence[Text], references: Sequence[Right]) -> Sequence[Text]:
        """Pairs of a text and what is to be written; of several that are right the first."""
        return [(f"{self.instruction}{text}", first(right)) for text, right in zip(texts, references, strict=True)]

    def targets(
        self, texts: Sequence[Text], references: Sequence[Right], encodings: Sequence[Any]
    ) -> tuple[NDArray[np.int64]]:
        """At each token the one that comes next, where that is to be written, [tokens].

        A tokenizer marks what is to be written, its end included, by token type 1. That a text ends where it was cut
        off is not learned: the pieces that were cut off each pair then hold other parts of it.
        """
        targets, begin = np.full(sum(len(encoding.ids) for encoding in encodings), IGNORED, np.int64), 0
        for encoding in encodings:
            ids, written = np.array(encoding.ids), np.array(encoding.type_ids) == 1
            if any(_written(piece) != _written(encoding) for piece in encoding.overflowing):
                written[-1] = False
            targets[begin : begin + len(ids) - 1] = np.where(written[1:], ids[1:], IGNORED)
            begin += len(ids)
        return (targets,)

    def unanswered(self, text: Text) -> str:
        """Nothing: what is right for it is written (`millis.pipeline.written_answers`)."""
        return ""

    def answered(self, text: Text, categories: Any, encoding: Any) -> str:
        """Nothing: one pass over a text writes none."""
        return ""

    @staticmethod
    def _refuse_others(tables: Sequence[Table], source: Source, column: str) -> None:
        for table in tables:
            texts = source.columns.texts(table) if table.columns else ()
            if len(texts) > 1:
                raise MillisError(
                    f"{table.where} has pairs of texts ({' and '.join(texts)}), and what is written answers single "
                    "ones. Name their column with data.text=..."
                )
            if column in texts:
                raise MillisError(
                    f"{table.where}: column {column!r} is both the text that is read and the one to write. Name the "
                    "first with data.text=... and the second with task.target=..."
                )

    def _several(self, rows: Sequence[Row], tables: Sequence[Table]) -> Iterator[list[str]]:
        """The texts that are right for each row, [N]; none where the row has no list.

        Raises:
            MillisError: no table has the column, or a cell holds no texts.
        """
        assert self.several is not None
        full = [table for table in tables if table.columns]
        if not any(self.several in table.columns for table in full):
            raise MillisError(
                f"{full[0].where} has no column {self.several!r}: found {', '.join(full[0].columns)}"
                f"{nearest(self.several, full[0].columns)}. Name it with task.several=..., or leave that out"
            )
        cells = chain.from_iterable(table.cells((self.several,)) for table in full)
        for row, (cell,) in zip(rows, cells, strict=True):
            try:
                yield _texts(cell, self.several)
            except CellError as error:
                raise MillisError(f"{row.place}: {error}") from error


def first(right: Right) -> str:
    """A text that is right."""
    return right if isinstance(right, str) else right[0]


def _written(encoding: Any) -> list[int]:
    """The tokens that are to be written."""
    return [token for token, kind in zip(encoding.ids, encoding.type_ids, strict=True) if kind == 1]


def _one(row: Row, column: str) -> Right | None:
    """The text in a row's cell; None where there is none.

    Raises:
        MillisError: it holds something else.
    """
    try:
        return written_of(row.cell, column)
    except CellError as error:
        hint = ", or where several are right name a column of lists with task.several="
        raise MillisError(f"{row.place}: {error}{hint if isinstance(row.cell, list | tuple) else ''}") from error


def _texts(cell: Any, column: str) -> list[str]:
    """The texts that a cell lists, also as JSON or Python writes lists, each once; a text that is no list is one.

    Raises:
        CellError: it holds something else.
    """
    if isinstance(cell, str) and (found := listed(cell.strip())) is not None:
        cell = found
    texts = [written_of(one, column) for one in (cell if isinstance(cell, list | tuple) else [cell])]
    return list(dict.fromkeys(text for text in texts if text is not None))


def _right(texts: Sequence[str]) -> Right | None:
    return tuple(texts) if len(texts) > 1 else texts[0] if texts else None


def _suspicions(train: Split, column: str) -> list[str]:
    """What training rows have that translations and summaries do not."""
    notes = []
    if copies := sum(text == right for text, right in zip(train.texts, train.references, strict=True)):
        notes.append(f"{copies} of {len(train)} training rows have the text itself in column {column!r}")
    if len(train) > FEW * (different := len(set(train.references))):
        notes.append(
            f"column {column!r} holds {different} different texts in {len(train)} training rows: if they are labels, "
            "task=classification answers them sooner"
        )
    return notes
