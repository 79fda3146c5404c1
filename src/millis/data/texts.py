"""Rows of tables as tasks with a column of their own read them: a text or pair, and what the column holds."""

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple, Protocol, TypeVar

from millis.data.cells import CellError, text_of
from millis.data.columns import Columns, check, refuse_misspelt
from millis.data.mapped import DROP
from millis.data.one_label import empty
from millis.data.references import Unseen
from millis.data.table import Table
from millis.errors import MillisError, nearest
from millis.types import Text


class Placed(Protocol):
    """A row that errors can name."""

    @property
    def place(self) -> str: ...


AnyRow = TypeVar("AnyRow", bound=Placed)
Value = TypeVar("Value")


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
    option: str = "task.column",
) -> list[Row]:
    """The rows of a split.

    Args:
        name: Of the data set.
        column: The task's. Of validation and test a table may lack it: its rows have nothing there.
        read: A cell and its column to a text.
        option: What names the column.

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
                f"{nearest(column, table.columns)}. Name it with {option}=..."
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


def answered(
    split: str,
    rows: Sequence[AnyRow],
    values: Sequence[Value | None],
    column: str,
    what: tuple[str, str],
    unseen: Unseen,
    notes: list[str],
) -> list[tuple[AnyRow, Value]]:
    """The rows that have an answer, with it; none of a split other than `train` that has no answers.

    Args:
        values: Each row's answer, [N].
        what: What one answer is called, and several.

    Raises:
        MillisError: a row without an answer is not to be left out.
    """
    one, several = what
    missing = [row for row, value in zip(rows, values, strict=True) if value is None]
    if len(missing) == len(rows) and split != "train":
        notes.append(f"the {split} split has no {several} and was not used")
        return []
    if missing and (unseen != DROP or len(missing) == len(rows)):
        raise MillisError(
            f"{missing[0].place}: column {column!r} is empty; {len(missing)} such rows. Fill them in, or "
            "leave them out with data.unseen_labels=drop"
        )
    if missing:
        notes.append(f"{len(missing)} rows of {split} left out: they have no {one}")
    return [(row, value) for row, value in zip(rows, values, strict=True) if value is not None]
