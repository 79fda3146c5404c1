"""Cells: what a table's value says as a text, or as the name of a label; the same in every format.

A file's values come as the types of its format: a label may be the string "1" in CSV, the integer 1 in JSON and the
float 1.0 in Parquet. What is neither text nor number is refused: its Python spelling is nothing that anybody wrote.
"""

import ast
import json
import math
import re
import unicodedata
from collections.abc import Sequence
from datetime import date, time, timedelta
from decimal import Decimal
from typing import Any

WITHHELD = -1  # how data sets write a label that is not public
EMPTY = {"", "nan", "NaN", "NAN", "<NA>", "#N/A", "NaT", r"\N"}  # how tables write a missing label
UNSEEN = {"Cc", "Cf", "Zs", "Zl", "Zp"}  # Unicode's categories of control and format characters and of blanks
FILLERS = "\u034f\u115f\u1160\u17b4\u17b5\u2800\u3164\uffa0"  # without ink, though Unicode calls them letters or marks
ONE_LABEL = (
    "expected one label, a name or a whole number. For several labels a text choose task=multi_label; else give every "
    "row one label, or name another column with data.label="
)
_KINDS = (
    ((list, tuple, set), "a list"), (dict, "an object"), (bool, "a truth value"), (date, "a date"),
    ((time, timedelta), "a time"),
)  # fmt: skip
_NUMBERS = re.compile(r"\[[-+\d.eE\s]+\]")  # an array as NumPy prints it
SHOWN = 60  # characters of a cell in an error


class CellError(Exception):
    """A cell that cannot be taken for what its column holds; the text begins with the column."""


def text_of(cell: Any, column: str) -> str:
    """The text in a cell; a number as it is written.

    Raises:
        CellError: it is empty, or holds neither text nor a number.
    """
    if isinstance(cell, str):
        return cell
    text = _text(cell, column, "expected text. Write a text there, or name another column with data.text=")
    if text is None:
        raise CellError(f"column {column!r} is missing or null; expected a value")
    return text


def written_of(cell: Any, column: str) -> str | None:
    """The text in a cell that a model is to write; a number as it is written, None where nothing in the cell is seen.

    Raises:
        CellError: it holds something else.
    """
    text = _text(cell, column, "expected a text to write. Name another column with task.target=")
    return None if text is None or not is_visible(text) else text


def label_of(cell: Any, column: str, classes: Sequence[str] | None = None) -> str | None:
    """The label that a cell names: without blanks around it, composed (NFC); None where nothing in the cell is seen.

    Args:
        classes: Names by index, where the column holds indices.

    Raises:
        CellError: it holds several labels, an object, a date, or an index that has no name.
    """
    if classes is not None and isinstance(cell, int):
        return _named(cell, column, classes)
    text = str(cell) if isinstance(cell, bool) else _text(cell, column, ONE_LABEL)
    label = "" if text is None else tidy(text)
    if _is_container(label):
        raise CellError(f"column {column!r} holds a list or an object as text ({_short(label)}); {ONE_LABEL}")
    return None if label in EMPTY or not is_visible(label) else label


def listed(text: str) -> list[Any] | None:
    """The list that text is, as JSON or Python writes it and as CSV files hold it; None where it is none."""
    found = _container(text)
    return found if isinstance(found, list) else None


def tidy(name: str) -> str:
    """A label's name without blanks around it; letters with marks are one character each (NFC)."""
    return unicodedata.normalize("NFC", name).strip()


def is_visible(name: str) -> bool:
    """Whether anything of it can be seen: blanks and characters without width or ink cannot."""
    return any(unicodedata.category(char) not in UNSEEN and char not in FILLERS for char in name)


def _text(cell: Any, column: str, expected: str) -> str | None:
    if isinstance(cell, str):
        return cell
    if cell is None or (isinstance(cell, float | Decimal) and not math.isfinite(cell)):
        return None
    if isinstance(cell, bytes):
        return _decoded(cell, column)
    if isinstance(cell, bool) or not isinstance(cell, int | float | Decimal):
        kind = next((words for types, words in _KINDS if isinstance(cell, types)), f"a {type(cell).__name__}")
        raise CellError(f"column {column!r} holds {kind} ({_short(cell)}); {expected}")
    return str(cell)


def _named(index: int, column: str, classes: Sequence[str]) -> str | None:
    if index == WITHHELD:
        return None
    if not 0 <= index < len(classes):
        raise CellError(f"column {column!r} holds {index}, which is out of range; expected 0 to {len(classes) - 1}")
    return tidy(classes[index])


def _decoded(cell: bytes, column: str) -> str:
    try:
        return cell.decode()
    except UnicodeDecodeError:
        raise CellError(f"column {column!r} holds bytes that are no UTF-8 text ({_short(cell)})") from None


def _is_container(text: str) -> bool:
    """Whether text is a list or an object as JSON, Python or NumPy writes it, such as `['a', 'b']`."""
    return _NUMBERS.fullmatch(text) is not None or isinstance(_container(text), list | dict | set)


def _container(text: str) -> Any:
    """What text in brackets or braces says as JSON or Python; None where it says nothing."""
    if text[:1] + text[-1:] not in ("[]", "{}"):
        return None
    for read in (json.loads, ast.literal_eval):
        try:
            return read(text)
        except (ValueError, TypeError, SyntaxError, MemoryError, RecursionError):
            continue
    return None


def _short(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= SHOWN else f"{text[:SHOWN]}..."
