"""Classes: the names by index that a column has of its own, beside a list of names for the whole data set."""

from collections.abc import Mapping, Sequence
from dataclasses import replace

from millis.data.cells import tidy
from millis.data.table import Table
from millis.errors import MillisError, nearest

Tables = Mapping[str, Sequence[Table]]  # of each split


def under(tables: Tables, column: str, names: Sequence[str], origin: str) -> Tables:
    """`tables`, whose classes of `column` mean their names, in whatever order; classes `0`, `1`, ... mean indices.

    Args:
        names: Of the data set's labels by index, as `origin` gives them.

    Raises:
        MillisError: a table has a class that is none of `names`.
    """
    known = [tidy(name) for name in names]
    return {split: [_under(table, column, known, origin) for table in found] for split, found in tables.items()}


def classes_of(tables: Tables, column: str) -> list[str]:
    """What all tables that have classes of `column` call them."""
    return [tidy(name) for found in tables.values() for table in found for name in table.classes.get(column, ())]


def _under(table: Table, column: str, names: Sequence[str], origin: str) -> Table:
    own = [tidy(name) for name in table.classes.get(column, ())]
    foreign = [name for name in own if name not in names]
    if foreign and own == [str(i) for i in range(len(own))]:
        return replace(table, classes={name: found for name, found in table.classes.items() if name != column})
    if foreign:
        raise MillisError(
            f"{table.where}: column {column!r} has the class {foreign[0]!r}, which is none of the {len(names)} names "
            f"of {origin}{nearest(foreign[0], names)}. Remove {origin}, or write the same names there"
        )
    return table
