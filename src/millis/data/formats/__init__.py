"""Formats of tables: one file each, read the same way."""

from pathlib import Path

from millis.data.formats.arrow import arrow_table, parquet_table
from millis.data.formats.delimited import delimited_table
from millis.data.formats.json_rows import json_table
from millis.data.formats.opened import kind_of, refuse_pointer
from millis.data.formats.plain_text import plain_table
from millis.data.table import Table

_READERS = {
    "jsonl": json_table,
    "json": json_table,
    "csv": delimited_table,
    "tsv": delimited_table,
    "parquet": parquet_table,
    "arrow": arrow_table,
    "txt": plain_table,
}
ROWS = (".jsonl", ".jsonl.gz", ".json", ".json.gz", ".csv", ".csv.gz", ".tsv", ".tsv.gz", ".parquet", ".arrow")
"""Of files whose rows have columns."""
TEXTS = (".txt", ".txt.gz")
"""Of files of text alone."""
SUFFIXES = (*ROWS, *TEXTS)


def read_table(path: Path) -> Table:
    """The table in a file with one of `SUFFIXES`.

    Raises:
        MillisError: it cannot be read, now or while its rows are; the line is named where there are lines.
    """
    refuse_pointer(path)
    return _READERS[kind_of(path)](path)
