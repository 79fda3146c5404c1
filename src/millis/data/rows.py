"""Rows of a split: texts and labels as its tables spell them, and where each row stands."""

from bisect import bisect_right
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

from millis.data.cells import CellError, label_of, text_of
from millis.data.columns import check, refuse_misspelt
from millis.data.table import Table
from millis.errors import MillisError
from millis.types import Text


@dataclass
class Rows:
    """A split as it was read.

    Args:
        texts: [N].
        labels: [N]; None where a row has none.
        starts: Index of each table's first row, ascending.
        places: What errors call each table.
        bare: Label → rows, of tables whose label column has no classes of its own.
    """

    texts: list[Text] = field(default_factory=list)
    labels: list[str | None] = field(default_factory=list)
    starts: list[int] = field(default_factory=list)
    places: list[str] = field(default_factory=list)
    bare: Counter[str] = field(default_factory=Counter)

    def __len__(self) -> int:
        return len(self.texts)

    def where(self, row: int) -> str:
        """The place of a row: its table, and its number there from 1."""
        table = bisect_right(self.starts, row) - 1
        return f"{self.places[table]}, row {row - self.starts[table] + 1}"


def read_rows(
    tables: Sequence[Table], texts: Sequence[str], label: str, read: Callable[[Any, str], str] = text_of
) -> Rows:
    """Read `tables` one after the other.

    Args:
        texts, label: Columns. A table may lack the label's, and all names like it: its rows have none.
        read: A cell and its column to a text.

    Raises:
        MillisError: a column or a text is missing, or a cell holds neither a text nor one label; names table and row.
    """
    rows = Rows()
    for table in tables:
        if table.columns:
            check(table, texts)
            refuse_misspelt(table, label, texts)
        rows.starts.append(len(rows))
        rows.places.append(table.where)
        _append(rows, table, texts, label, read)
        if label not in table.classes:
            rows.bare.update(name for name in rows.labels[rows.starts[-1] :] if name is not None)
    return rows


def _append(rows: Rows, table: Table, texts: Sequence[str], label: str, read: Callable[[Any, str], str]) -> None:
    classes = table.classes.get(label)
    known: dict[tuple[type, Any], str | None] = {}  # a split has few labels: each one's name is worked out once
    for number, (*parts, cell) in enumerate(table.cells((*texts, label)), start=1):
        try:
            text = tuple([read(part, column) for part, column in zip(parts, texts, strict=True)])
            key = (type(cell), cell)
            if type(cell) in (list, dict) or key not in known:
                known[key] = label_of(cell, label, classes)
        except CellError as error:
            raise MillisError(f"{table.where}, row {number}: {error}") from error
        rows.texts.append(text[0] if len(text) == 1 else (text[0], text[1]))
        rows.labels.append(known[key])
