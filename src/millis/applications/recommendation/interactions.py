"""A catalogue and who took what of it when, as they lie in a folder.

    FOLDER/items          .jsonl, .csv, ... (`millis.data.formats`): an item a row, its id and the columns of its text
    FOLDER/interactions   who took what when: a row each; or train, validation and test, which are read as one

Times are numbers (seconds), or the order of the rows where there is no such column. Of every user with three items or
more the last is a test, the one before it is validation, and the others train (leave-last-out, as Kang and McAuley
2018, 1808.09781, section IV-A, have it); of users with fewer all train.
"""

import math
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from millis.applications.tables import tables
from millis.data.cells import CellError, label_of, text_of
from millis.data.formats import SUFFIXES, read_table
from millis.data.table import Table
from millis.errors import MillisError, nearest

ITEMS, INTERACTIONS = "items", ("interactions", "train", "validation", "test")
LEAST = 3  # items of a user who is asked about


class Columns(NamedTuple):
    """Names of columns.

    Args:
        item: Id of an item, in both kinds of files where `item_id` is not given.
        user: Who took it.
        time: When.
        text: Of an item, in this order; lists are joined.
    """

    item: str
    user: str
    time: str
    text: tuple[str, ...]


class Items(NamedTuple):
    """A catalogue, [C] both."""

    ids: tuple[str, ...]
    texts: tuple[str, ...]


class Asked(NamedTuple):
    """One question: what was taken before, oldest first, and what was taken next; indices of items."""

    history: tuple[int, ...]
    next: int


class Histories(NamedTuple):
    """Of users.

    Args:
        train: Items of each, oldest first, without those that are asked about.
        validation, test: A question each user who has enough.
    """

    train: list[tuple[int, ...]]
    validation: list[Asked]
    test: list[Asked]


def read_items(folder: Path, columns: Columns) -> Items:
    """The catalogue.

    Raises:
        MillisError: no such file, a missing column, an empty catalogue, or an id that stands twice.
    """
    found = _catalogue(tables(folder, ITEMS)[0], columns)
    if len(found.ids) < 2:
        raise MillisError(f"{folder}: the catalogue has {len(found.ids)} items: expected at least two to choose from")
    return found


def read_catalogue(file: Path, columns: Columns) -> Items:
    """Items in one file.

    Raises:
        MillisError: no such file, or as `read_items`.
    """
    if not file.is_file() or not file.name.endswith(SUFFIXES):
        raise MillisError(f"{file} is no file of items: expected one that ends in one of {', '.join(SUFFIXES)}")
    return _catalogue(read_table(file), columns)


def _catalogue(table: Table, columns: Columns) -> Items:
    _require(table, (columns.item, columns.text[0]))
    ids, texts, seen = list[str](), list[str](), set[str]()
    for number, cells in enumerate(table.cells((columns.item, *columns.text)), 1):
        where = f"{table.where}, row {number}"
        name = _name(cells[0], columns.item, where)
        if name in seen:
            raise MillisError(f"{where}: {name!r} stands twice in column {columns.item!r}: expected ids that differ")
        seen.add(name)
        ids.append(name)
        texts.append(text_of_item(cells[1:], columns.text, where))
    return Items(tuple(ids), tuple(texts))


def text_of_item(cells: Sequence[Any], names: Sequence[str], where: str) -> str:
    """What an encoder reads of an item: its cells, `Title. Genre, Genre. Tag`; the first has to be there.

    Raises:
        MillisError: no first cell, or one that holds no text.
    """
    said = []
    for cell, name in zip(cells, names, strict=True):
        several = cell if isinstance(cell, list | tuple) else [cell]
        try:
            parts = [text_of(one, name).strip() for one in several if one is not None and one != ""]
        except CellError as error:
            raise MillisError(f"{where}: {error}") from error
        if not any(parts) and name == names[0]:
            raise MillisError(f"{where}: column {name!r} is empty: expected what the item is called")
        if any(parts):
            said.append(", ".join(part for part in parts if part))
    return ". ".join(said)


def read_histories(folder: Path, columns: Columns, items: Items) -> Histories:
    """Who took what.

    Raises:
        MillisError: no such file, a missing column, an item that is not in the catalogue, a time that is no number, or
            no user with enough items.
    """
    index = {name: place for place, name in enumerate(items.ids)}
    taken: dict[str, list[tuple[float, int, int]]] = {}
    for number, (user, item, time) in enumerate(_rows(folder, columns, index)):
        taken.setdefault(user, []).append((time, number, item))
    train, validation, test = [], [], []
    for rows in taken.values():
        history = tuple(
            dict.fromkeys(item for _, _, item in sorted(rows))
        )  # of one that was taken twice the first time
        if len(history) < LEAST:
            train.append(history)
            continue
        train.append(history[:-2])
        validation.append(Asked(history[:-2], history[-2]))
        test.append(Asked(history[:-1], history[-1]))
    if not test:
        raise MillisError(
            f"{folder}: no user took {LEAST} items: expected some, for the last two of each are asked for"
        )
    return Histories(train, validation, test)


def _rows(folder: Path, columns: Columns, index: dict[str, int]) -> Iterator[tuple[str, int, float]]:
    for table in tables(folder, *INTERACTIONS):
        _require(table, (columns.user, columns.item))
        timed = columns.time in table.columns
        for number, (user, item, time) in enumerate(table.cells((columns.user, columns.item, columns.time)), 1):
            where = f"{table.where}, row {number}"
            name = _name(item, columns.item, where)
            if name not in index:
                raise MillisError(f"{where}: item {name!r} is not in the catalogue{nearest(name, index)}")
            yield _name(user, columns.user, where), index[name], _time(time, columns.time, where) if timed else 0.0


def _require(table: Table, names: Sequence[str]) -> None:
    for name in names:
        if table.columns and name not in table.columns:
            raise MillisError(
                f"{table.where} has no column {name!r}: found {', '.join(table.columns)}{nearest(name, table.columns)}"
            )


def _name(cell: Any, column: str, where: str) -> str:
    try:
        name = label_of(cell, column)
    except CellError as error:
        raise MillisError(f"{where}: {error}") from error
    if name is None:
        raise MillisError(f"{where}: column {column!r} is empty: expected a name")
    return name


def _time(cell: Any, column: str, where: str) -> float:
    try:
        value = float(cell)
    except (TypeError, ValueError):
        value = math.nan
    if not math.isfinite(value):
        raise MillisError(f"{where}: column {column!r} holds {cell!r}: expected a number, such as seconds")
    return value
