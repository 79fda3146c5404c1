"""Arrow's columns: Parquet, Arrow files and streams, and what `datasets` loads."""

import json
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

from millis.data.formats.opened import readable
from millis.data.table import Cells, Table

BATCH_ROWS = 10_000  # a few MB of texts at a time
FILE_START = b"ARROW1"  # of an Arrow file; a stream, as `datasets` saves it, begins otherwise


def parquet_table(path: Path) -> Table:
    """The table in a Parquet file; classes have the names that `datasets` writes into its metadata."""
    import pyarrow.parquet

    def batches(names: Sequence[str]) -> Iterator[Any]:
        with pyarrow.parquet.ParquetFile(path) as file:
            yield from file.iter_batches(BATCH_ROWS, columns=list(names))

    with readable(path, "Parquet"):
        return _file_table(path, pyarrow.parquet.read_schema(path), batches, "Parquet")


def arrow_table(path: Path) -> Table:
    """The table in an Arrow file or stream; classes have the names that `datasets` writes into its metadata."""

    def batches(names: Sequence[str]) -> Iterator[Any]:
        reader = _arrow_reader(path)
        if hasattr(reader, "num_record_batches"):
            found: Iterable[Any] = (reader.get_batch(i) for i in range(reader.num_record_batches))
        else:
            found = reader
        yield from (batch.select(list(names)) for batch in found)

    with readable(path, "Arrow"):
        return _file_table(path, _arrow_reader(path).schema, batches, "Arrow")


def dataset_table(where: str, dataset: Any) -> Table:
    """The table of a `datasets.Dataset`."""
    features = {name: getattr(feature, "feature", feature) for name, feature in dataset.features.items()}  # of a list
    classes = {name: feature.names for name, feature in features.items() if hasattr(feature, "names")}

    def cells(wanted: Sequence[str]) -> Iterator[Cells]:
        here = [name for name in dataset.column_names if name in wanted]
        yield from _cells(dataset.select_columns(here).with_format("arrow").iter(BATCH_ROWS), wanted)

    return Table(where, tuple(dataset.column_names), cells, classes)


def memory_table(where: str, table: Any) -> Table:
    """The table of a `pyarrow.Table`."""

    def cells(wanted: Sequence[str]) -> Iterator[Cells]:
        here = [name for name in table.schema.names if name in wanted]
        yield from _cells(table.select(here).to_batches(BATCH_ROWS) if here else [table], wanted)

    return Table(where, tuple(table.schema.names), cells, _classes(table.schema))


def _file_table(path: Path, schema: Any, batches: Callable[[Sequence[str]], Iterator[Any]], kind: str) -> Table:
    def cells(wanted: Sequence[str]) -> Iterator[Cells]:
        with readable(path, kind):
            yield from _cells(batches([name for name in schema.names if name in wanted]), wanted)

    return Table(str(path), tuple(schema.names), cells, _classes(schema))


def _arrow_reader(path: Path) -> Any:
    import pyarrow.ipc

    with path.open("rb") as file:
        start = file.read(len(FILE_START))
    source = pyarrow.memory_map(str(path))
    return pyarrow.ipc.open_file(source) if start == FILE_START else pyarrow.ipc.open_stream(source)


def _cells(batches: Iterable[Any], wanted: Sequence[str]) -> Iterator[Cells]:
    for batch in batches:
        here = {name: batch.column(name).to_pylist() for name in batch.schema.names}
        missing = [None] * batch.num_rows
        yield from zip(*(here.get(name, missing) for name in wanted), strict=True)


def _classes(schema: Any) -> dict[str, list[str]]:
    """Names of classes by column, from the metadata that `datasets` writes under its key."""
    written = json.loads((schema.metadata or {}).get(b"huggingface", b"{}"))
    features = written.get("info", {}).get("features") or {}
    inner = {
        column: feature["feature"] if isinstance(feature, dict) and "feature" in feature else feature  # of a list
        for column, feature in features.items()
    }
    return {
        column: feature["names"]
        for column, feature in inner.items()
        if isinstance(feature, dict) and feature.get("_type") == "ClassLabel" and isinstance(feature.get("names"), list)
    }
