"""JSON: an object a line, or one list of objects."""

import json
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

from millis.data.formats.opened import opened
from millis.data.table import Cells, Table
from millis.errors import MillisError

Row = dict[str, Any]


def json_table(path: Path) -> Table:
    """The table in a file; its columns are the keys of the first object.

    Raises:
        MillisError: not JSON, or no objects in it.
    """
    listed = _listed(path)
    rows: Callable[[], Iterator[Row]] = (lambda: _lines(path)) if listed is None else (lambda: iter(listed))

    def cells(wanted: Sequence[str]) -> Iterator[Cells]:
        for row in rows():
            yield tuple([row.get(name) for name in wanted])

    return Table(str(path), tuple(next(rows(), {})), cells)


class _Repeated(dict[str, Any]):
    """An object one of whose keys stands twice, so that one of its values is lost."""


def _listed(path: Path) -> list[Row] | None:
    """The objects of a file that is one list; None where it is not."""
    with opened(path) as file:
        start = next((line for line in file if line.strip()), "")
        if not start.lstrip().startswith("["):
            return None
        text = start + file.read()
    return [_row(item, f"{path}, item {i}", text) for i, item in enumerate(_parsed(text, str(path)), start=1)]


def _lines(path: Path) -> Iterator[Row]:
    with opened(path) as file:
        for number, line in enumerate(file, start=1):
            if line.strip():
                where = f"{path}, line {number}"
                yield _row(_parsed(line, where), where, line)


def _parsed(text: str, where: str) -> Any:
    try:
        return _DECODER.decode(text.rstrip())
    except json.JSONDecodeError as error:
        line = f"line {error.lineno}, " if error.lineno > 1 else ""
        raise MillisError(
            f"{where}: not JSON ({error.msg} at {line}column {error.colno}). Expected an object a line, or one list of "
            "objects"
        ) from error
    except (ValueError, RecursionError) as error:  # a number of thousands of digits, a thousand brackets
        raise MillisError(f"{where}: cannot be read ({error})") from error


def _object(pairs: list[tuple[str, Any]]) -> Row:
    row = dict(pairs)
    return row if len(row) == len(pairs) else _Repeated(row)


_DECODER = json.JSONDecoder(object_pairs_hook=_object)  # made once: a line takes half the time


def _row(row: Any, where: str, text: str) -> Row:
    if not isinstance(row, dict):
        raise MillisError(f"{where}: expected a JSON object, got {type(row).__name__}")
    if isinstance(row, _Repeated):
        raise MillisError(f"{where}: a key stands twice, so what it means is not clear. Keep one of the two")
    if "\\u" in text and not _encodable(row):
        raise MillisError(
            f"{where}: holds half of a surrogate pair, which is no text; replace it, for example by U+FFFD"
        )
    return row


def _encodable(row: Row) -> bool:
    """Whether every text in `row` has a UTF-8 form; JSON's escapes can name code points that have none."""
    try:
        json.dumps(row, ensure_ascii=False).encode()
    except UnicodeEncodeError:
        return False
    return True
