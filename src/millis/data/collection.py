"""A collection: texts that a query may find, each under a name, in a file of their own; and what each should find.

Where models learn, a text's target is the vector of what it should find (`millis.data.positions.contrast`). The vectors
of a collection are computed once, and no model that is trained changes them.
"""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from millis.data.cells import CellError, label_of, listed, text_of, tidy
from millis.data.dataset import Split
from millis.data.formats import ROWS, read_table
from millis.data.labels import whole
from millis.data.references import Read, Source, TextsAlone
from millis.data.texts import Row, rows_of
from millis.data.vectors import Vectors
from millis.errors import MillisError, nearest
from millis.types import Text

ENTRY = "entry"  # the kind of index in `Dataset.names`


@dataclass(frozen=True)
class Collection(TextsAlone):
    """References are tuples with the indices of the entries that a query should find.

    Args:
        path: File of the collection, as `millis.data.formats` reads it.
        column: Of the data: names of entries, one or a list; None takes the data's column of labels (`data.label`).
        id: Column of the collection that names an entry.
        text: Column of the collection that holds its text.
        vectors: Of the entries; None until they are computed.
    """

    path: str = field(repr=False)  # equal collections are one wherever they lie
    column: str | None = None
    id: str = "id"
    text: str = "text"
    vectors: Vectors | None = None
    reads_offsets: ClassVar[bool] = False

    def read(self, source: Source) -> Read:
        """The collection's texts, and what each row should find; see `millis.data.references.References`.

        Raises:
            MillisError: a collection that cannot be read or has fewer than two entries, a missing column, a row that
                names no entry or one that is not there.
        """
        names, texts = self.entries()
        index = {name: place for place, name in enumerate(names)}
        column, splits = self.column or source.columns.label, {}
        for split in source.tables:
            rows = rows_of(source.name, split, source.tables[split], source.columns, column)
            found = [_names(row, column) for row in rows]
            empty = [row for row, one in zip(rows, found, strict=True) if not one]
            if len(empty) == len(rows) and split != "train":
                source.notes.append(f"the {split} split names no entries and was not used")
                continue
            if empty and (source.unseen != "drop" or len(empty) == len(rows)):
                raise MillisError(
                    f"{empty[0].place}: column {column!r} names no entry of {self.path}; {len(empty)} such rows. Mend "
                    "them, or leave them out with data.unseen_labels=drop"
                )
            if empty:
                source.notes.append(f"{len(empty)} rows of {split} left out: they name no entry")
            kept = [(row, one) for row, one in zip(rows, found, strict=True) if one]
            references = [tuple(dict.fromkeys(self._index(row, name, index) for name in one)) for row, one in kept]
            splits[split] = Split([row.text for row, _ in kept], references)
        return Read({ENTRY: texts}, splits)

    def entries(self) -> tuple[tuple[str, ...], tuple[str, ...]]:
        """Names and texts of the collection, [C] both.

        Raises:
            MillisError: it cannot be read, has fewer than two entries, or two of one name.
        """
        path = Path(self.path).expanduser()
        if not path.is_file():
            raise MillisError(f"task.collection={self.path} is not a file; expected one with an entry a row")
        if not path.name.endswith(ROWS):
            raise MillisError(f"task.collection={self.path}: expected a file that ends in one of {', '.join(ROWS)}")
        table = read_table(path)
        for name, key in ((self.id, "id"), (self.text, "text")):
            if table.columns and name not in table.columns:
                raise MillisError(
                    f"{table.where} has no column {name!r}: found {', '.join(table.columns)}"
                    f"{nearest(name, table.columns)}. Name it with task.{key}=..."
                )
        names, texts = [], []
        for number, (name, text) in enumerate(table.cells((self.id, self.text)), start=1):
            try:
                label = label_of(name, self.id)
                texts.append(text_of(text, self.text))
            except CellError as error:
                raise MillisError(f"{table.where}, row {number}: {error}") from error
            if label is None:
                raise MillisError(f"{table.where}, row {number}: column {self.id!r} is empty; expected a name")
            names.append(_name(label))
        if len(texts) < 2:
            raise MillisError(f"{table.where} has {len(texts)} entries: expected at least two to choose from")
        if twice := [name for name, count in Counter(names).items() if count > 1]:
            raise MillisError(f"{table.where} has {twice[0]!r} twice in column {self.id!r}: expected names that differ")
        return tuple(names), tuple(texts)

    def _index(self, row: Row, name: str, index: dict[str, int]) -> int:
        if name not in index:
            raise MillisError(f"{row.place}: {name!r} is no entry of {self.path}{nearest(name, index)}")
        return index[name]

    def stratum(self, reference: tuple[int, ...]) -> None:
        """None: splits are cut at random."""

    def group(self, reference: tuple[int, ...]) -> None:
        """None: each row stands for itself."""

    def targets(
        self, texts: Sequence[Text], references: Sequence[tuple[int, ...]], encodings: Sequence[Any]
    ) -> tuple[NDArray[np.float32]]:
        """The vector of the first entry that each text should find, [N, D]."""
        assert self.vectors is not None, "a task that learned its collection has its vectors"
        return (self.vectors.values[[reference[0] for reference in references]],)

    def unanswered(self, text: Text) -> tuple[int, ...]:
        """The first entry."""
        return (0,)

    def answered(self, text: Text, categories: tuple[float, ...], encoding: Any) -> tuple[int, ...]:
        """The entry that is nearest to a teacher's vector."""
        assert self.vectors is not None, "as above"
        return (int(self.vectors.ranked(np.asarray([categories], np.float32), 1)[0][0, 0]),)


def _names(row: Row, column: str) -> list[str]:
    """The names of entries in a row's cell.

    Raises:
        MillisError: a cell that holds none; its place is named.
    """
    cell = row.cell
    if isinstance(cell, str) and (found := listed(cell.strip())) is not None:
        cell = found
    cells = [] if cell is None else list(cell) if isinstance(cell, list | tuple | set) else [cell]
    try:
        names = [label_of(one, column, row.classes) for one in cells]
    except CellError as error:
        raise MillisError(f"{row.place}: {error}") from error
    return [_name(name) for name in names if name is not None]


def _name(name: str) -> str:
    """A name as it is compared: `7` and `7.0` are one; `07` is a code, and another."""
    value = whole(name)
    return tidy(name) if value is None else str(value)
