"""Rows as a table of the data sources, without a file."""

from millis.data.table import Table


def table(rows, where="train.csv", **classes):
    """`rows`, dictionaries of one set of keys; `classes` is column → names by index."""
    columns = tuple(rows[0]) if rows else ()
    return Table(where, columns, lambda wanted: (tuple(row.get(name) for name in wanted) for row in rows), classes)
