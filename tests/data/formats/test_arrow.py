"""Parquet and Arrow files, with and without the names of classes, and data sets of `datasets`."""

import datasets
import pyarrow
import pyarrow.parquet
import pytest

from millis.data.formats import read_table
from millis.data.formats.arrow import BATCH_ROWS, dataset_table
from millis.errors import MillisError

ROWS = {"text": ["x", "y", "z"], "label": [1, 0, -1]}
FEATURES = datasets.Features({"text": datasets.Value("string"), "label": datasets.ClassLabel(names=["no", "yes"])})


def parquet(path, table):
    pyarrow.parquet.write_table(table, path)


def stream(path, table):
    with pyarrow.OSFile(str(path), "wb") as file, pyarrow.ipc.new_stream(file, table.schema) as writer:
        writer.write_table(table, max_chunksize=2)


def arrow_file(path, table):
    with pyarrow.OSFile(str(path), "wb") as file, pyarrow.ipc.new_file(file, table.schema) as writer:
        writer.write_table(table, max_chunksize=2)


WRITERS = {"x.parquet": parquet, "x.arrow": stream, "file.arrow": arrow_file}


@pytest.mark.parametrize("name", WRITERS)
def test_columns_come_as_asked_with_the_names_of_classes(tmp_path, name):
    data = datasets.Dataset.from_dict(ROWS, features=FEATURES)
    WRITERS[name](tmp_path / name, data.data.table)
    table = read_table(tmp_path / name)
    assert table.columns == ("text", "label")
    assert table.classes == {"label": ["no", "yes"]}
    assert list(table.cells(["label", "other", "text"])) == [(1, None, "x"), (0, None, "y"), (-1, None, "z")]


@pytest.mark.parametrize("name", WRITERS)
def test_a_table_without_metadata_has_no_classes(tmp_path, name):
    WRITERS[name](tmp_path / name, pyarrow.table({"text": [b"x"], "label": ["a"]}))
    table = read_table(tmp_path / name)
    assert (table.classes, list(table.cells(["text", "label"]))) == ({}, [(b"x", "a")])


@pytest.mark.parametrize("name", WRITERS)
def test_a_repeated_name_is_refused(tmp_path, name):
    columns = [pyarrow.array([value]) for value in "xya"]
    WRITERS[name](tmp_path / name, pyarrow.Table.from_arrays(columns, ["text", "text", "label"]))
    with pytest.raises(MillisError, match="the column name 'text' stands twice"):
        read_table(tmp_path / name)


@pytest.mark.parametrize("name", ["x.parquet", "x.arrow"])
def test_a_damaged_file_is_named(tmp_path, name):
    (tmp_path / name).write_bytes(b"text,label\n")
    with pytest.raises(MillisError, match=rf"cannot read .*{name}: .* Expected (Parquet|Arrow)"):
        list(read_table(tmp_path / name).cells(["text"]))


def test_more_rows_than_a_batch(tmp_path):
    count = 2 * BATCH_ROWS + 1
    parquet(tmp_path / "x.parquet", pyarrow.table({"text": [str(i) for i in range(count)]}))
    assert [text for (text,) in read_table(tmp_path / "x.parquet").cells(["text"])] == [str(i) for i in range(count)]


def test_a_data_set_in_memory():
    table = dataset_table("shop, split train", datasets.Dataset.from_dict(ROWS, features=FEATURES).select([2, 0]))
    assert (table.where, table.columns, table.classes) == (
        "shop, split train", ("text", "label"), {"label": ["no", "yes"]}
    )  # fmt: skip
    assert list(table.cells(["text", "label", "other"])) == [("z", -1, None), ("x", 1, None)]
