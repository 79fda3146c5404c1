"""Tables of a corpus's folder: each kind or split is a file of its own, in any format of `millis.data.formats`."""

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, TypeVar

from millis.data.cells import CellError, is_visible, text_of
from millis.data.formats import SUFFIXES, read_table
from millis.data.layout import files_of
from millis.data.table import Table
from millis.errors import MillisError

SPLITS = ("train", "validation", "test")
T = TypeVar("T")


def tables(folder: Path, *names: str, expected: str = "") -> list[Table]:
    """The tables of these names.

    Args:
        expected: What their rows are, for the message.

    Raises:
        MillisError: there is none, or one cannot be read.
    """
    files = [file for name in names for file in files_of(folder, name, name)] if folder.is_dir() else []
    if not files:
        hint = f": expected {expected}" if expected else ""
        raise MillisError(f"{folder} has no file {' or '.join(names)} with one of {', '.join(SUFFIXES)}{hint}")
    return [read_table(file) for file in files]


def rows(table: Table, columns: Sequence[str], read: Callable[..., T]) -> Iterator[T]:
    """What `read` makes of the cells of each row, which it is given in the order of `columns`.

    Raises:
        MillisError: `read` refused a cell (`CellError`); file and row are named.
    """
    for number, cells in enumerate(table.cells(columns), 1):
        try:
            yield read(*cells)
        except CellError as error:
            raise MillisError(f"{table.where}, row {number}: {error}") from error


def words_of(cell: Any, column: str, expected: str = "words") -> str:
    """The text of a cell, which has more than blanks.

    Raises:
        CellError: as said.
    """
    text = text_of(cell, column)
    if not is_visible(text):
        raise CellError(f"column {column!r} has nothing but blanks; expected {expected}")
    return text
