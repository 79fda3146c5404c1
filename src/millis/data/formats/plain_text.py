"""Plain text: a file is one document, a single row with the column `text`."""

from collections.abc import Iterator, Sequence
from pathlib import Path

from millis.data.formats.opened import opened
from millis.data.table import Cells, Table

TEXT = "text"


def plain_table(path: Path) -> Table:
    """The table of a file; line ends are LF, whatever they are there.

    Raises:
        MillisError: while its row is read, a file that is no UTF-8 text.
    """

    def cells(wanted: Sequence[str]) -> Iterator[Cells]:
        with opened(path, "UTF-8 text") as file:
            text = file.read().replace("\r\n", "\n").replace("\r", "\n")
        yield tuple([text if name == TEXT else None for name in wanted])

    return Table(str(path), (TEXT,), cells)
