"""CSV and its kin: a row a line, with commas, semicolons, tabs or bars between columns."""

import csv
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from millis.data.formats.opened import kind_of, opened
from millis.data.table import Cells, Table
from millis.errors import MillisError

OWN = {"csv": ",", "tsv": "\t"}
NAMES = {",": "commas", ";": "semicolons", "\t": "tabs", "|": "bars"}
csv.field_size_limit(2**31 - 1)  # a document is one field, and may be longer than the module's 131,072 characters


@dataclass(frozen=True)
class Dialect:
    """How a file writes its rows.

    Args:
        separator: Between columns.
        spaced: Whether blanks follow it.
        quoted: Whether quotation marks enclose fields; else they are characters like others.
    """

    separator: str
    spaced: bool = False
    quoted: bool = True


def delimited_table(path: Path) -> Table:
    """The table in a file, with the separator of its suffix, or the one that its header has instead.

    Raises:
        MillisError: not such a file, or a header that can be read in two ways.
    """
    own = OWN[kind_of(path)]
    dialect = Dialect(_separator(path, own))
    header = _header(path, dialect)
    if len(header) > 1 and all(name.startswith(" ") for name in header[1:]):
        dialect = replace(dialect, spaced=True)
        header = _header(path, dialect)
    notes = []
    if dialect.separator != own:
        notes.append(
            f"{kind_of(path)} files are read with {NAMES[dialect.separator]} between columns, as their header has"
        )
    if dialect.separator == "\t":
        literal = replace(dialect, quoted=False)
        if not _is_regular(path, dialect) and _is_regular(path, literal):
            dialect = literal
            notes.append("quotation marks are read as characters of the text, for they do not enclose fields")
    columns = tuple(name.strip() for name in header)

    def cells(wanted: Sequence[str]) -> Iterator[Cells]:
        places = [columns.index(name) if name in columns else None for name in wanted]
        for row in _rows(path, dialect):
            yield tuple([None if place is None else row[place] for place in places])

    return Table(str(path), columns, cells, notes=tuple(notes))


def _separator(path: Path, own: str) -> str:
    """What stands between columns: `own`, unless the header is one column with it and several with another."""
    others = []
    for separator in (own, *(other for other in NAMES if other != own)):
        try:
            several = len(_header(path, Dialect(separator))) > 1
        except MillisError:  # no such header: quotation marks in the wrong places
            continue
        if several and separator == own:
            return own
        others += [separator] * several
    if len(others) > 1:
        raise MillisError(
            f"{path}: its header can be read with {' or '.join(NAMES[other] for other in others)} between columns. "
            f"Save it again with {NAMES[own]}"
        )
    return others[0] if others else own


def _header(path: Path, dialect: Dialect) -> list[str]:
    return next(_lists(path, dialect), (0, []))[1]


def _is_regular(path: Path, dialect: Dialect) -> bool:
    """Whether every row has as many fields as the header, none of which holds the separator."""
    try:
        return all(not any(dialect.separator in cell for cell in row) for row in _rows(path, dialect))
    except MillisError:
        return False


def _rows(path: Path, dialect: Dialect) -> Iterator[list[str]]:
    rows = _lists(path, dialect)
    _, header = next(rows, (0, []))
    for line, row in rows:
        if len(row) != len(header):
            raise MillisError(
                f"{path}, line {line}: expected {len(header)} fields as in the header, found {len(row)} with "
                f"{NAMES[dialect.separator]} between them. Put texts that hold {dialect.separator!r} in quotation marks"
            )
        yield row


def _lists(path: Path, dialect: Dialect) -> Iterator[tuple[int, list[str]]]:
    """Line and fields of every row that is not blank, the header first."""
    with opened(path) as file:
        reader = csv.reader(
            file,
            delimiter=dialect.separator,
            skipinitialspace=dialect.spaced,
            quoting=csv.QUOTE_MINIMAL if dialect.quoted else csv.QUOTE_NONE,
            strict=True,
        )
        try:
            for row in filter(None, reader):
                yield reader.line_num, row
        except csv.Error as error:
            raise MillisError(f"{path}, line {reader.line_num}: not CSV ({error})") from error
