"""Rows of tables as tasks with a column of their own read them: a text or pair, and what the column holds."""

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

from millis.data.cells import CellError, text_of
from millis.data.columns import Columns, check, refuse_misspelt
from millis.data.one_label import empty
from millis.data.table import Table
from millis.errors import MillisError, nearest
from millis.types import Text


class Row(NamedTuple):
    """One row.

    Args:
        cell: Of the task's column.
        place: What errors call the row.
        classes: Names by index that the column has.
    """

    text: Text
    cell: Any
    place: str
    classes: Sequence[str] | None


def rows_of(
    name: str,
    split: str,
    tables: Sequence[Table],
    columns: Columns,
    column: str,
    read: Callable[[Any, str], str] = text_of,
) -> list[Row]:
    """The rows of a split.

    Args:
        name: Of the data set.
        column: The task's. Of validation and test a table may lack it: its rows have nothing there.
        read: A cell and its column to a text.

    Raises:
        MillisError: none, a missing column, or a cell without a text; names the row.
    """
    rows: list[Row] = []
    for table in tables:
        if not table.columns:
            continue
        texts = columns.texts(table)
        check(table, texts)
        if column not in table.columns and split == "train":
            raise MillisError(
                f"{table.where} has no column {column!r}: found {', '.join(table.columns)}"
                f"{nearest(column, table.columns)}. Name it with task.column=..."
            )
        refuse_misspelt(table, column, texts)
        for number, (*parts, cell) in enumerate(table.cells((*texts, column)), start=1):
            place = f"{table.where}, row {number}"
            try:
                text = tuple([read(part, of) for part, of in zip(parts, texts, strict=True)])
            except CellError as error:
                raise MillisError(f"{place}: {error}") from error
            found: Text = text[0] if len(text) == 1 else (text[0], text[1])
            rows.append(Row(found, cell, place, table.classes.get(column)))
    if not rows:
        raise empty(name, split)
    return rows
