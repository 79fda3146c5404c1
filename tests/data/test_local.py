"""Local files: every format, names of labels, and files that are broken."""

import csv
import gzip
import io
import json

import pyarrow
import pyarrow.parquet
import pytest

from millis.data.formats import read_table
from millis.data.local import Local
from millis.errors import MillisError

ROWS = [{"text": 'say "yes", or\r\nno – größe', "label": "a"}, {"text": "two", "label": "b"}]
OTHERS = [{"text": "three", "label": "b"}, {"text": "four", "label": "a"}]


def json_lines(rows):
    return "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows).encode()


def separated(rows, separator=","):
    file = io.StringIO(newline="")
    writer = csv.DictWriter(file, rows[0], delimiter=separator)
    writer.writeheader()
    writer.writerows(rows)
    return file.getvalue().encode()


def parquet(rows):
    file = io.BytesIO()
    pyarrow.parquet.write_table(pyarrow.Table.from_pylist(rows), file)
    return file.getvalue()


def arrow(rows):
    table, file = pyarrow.Table.from_pylist(rows), io.BytesIO()
    with pyarrow.ipc.new_stream(file, table.schema) as writer:
        writer.write_table(table)
    return file.getvalue()


FORMATS = {
    ".jsonl": json_lines,
    ".jsonl.gz": lambda rows: gzip.compress(json_lines(rows)),
    ".json": lambda rows: json.dumps(rows).encode(),
    ".json.gz": lambda rows: gzip.compress(json.dumps(rows, indent=1).encode()),
    ".csv": separated,
    ".csv.gz": lambda rows: gzip.compress(separated(rows)),
    ".tsv": lambda rows: separated(rows, "\t"),
    ".tsv.gz": lambda rows: gzip.compress(separated(rows, "\t")),
    ".parquet": parquet,
    ".arrow": arrow,
}


def folder(path, suffix=".jsonl", **splits):
    for split, rows in splits.items():
        (path / f"{split}{suffix}").write_bytes(FORMATS[suffix](rows))
    return path


def refusal(path, **options):
    with pytest.raises(MillisError) as caught:
        Local(str(path), **options)()
    return str(caught.value)


@pytest.mark.parametrize("suffix", FORMATS)
def test_every_format_gives_the_same_data(tmp_path, suffix):
    data = Local(str(folder(tmp_path, suffix, train=ROWS, validation=OTHERS, test=OTHERS)))()
    assert data.labels == ("a", "b")
    assert data.train.texts == [row["text"] for row in ROWS]
    assert data.validation == data.test
    assert data.notes == ["2 of 2 test texts also occur in validation"]


@pytest.mark.parametrize("values", [[1, 2, 5], ["b", "a", "c"], [1.5, 0.5, 1.0], [0, 1, 2]])
def test_every_format_gives_the_same_labels(tmp_path, values):
    rows = [{"text": f"text {i}", "label": value} for i, value in enumerate(values)]
    found = set()
    for suffix in FORMATS:
        place = tmp_path / suffix
        place.mkdir()
        data = Local(str(folder(place, suffix, train=rows, validation=rows, test=rows)))()
        found.add((data.labels, tuple(data.train.references)))
    assert found == {(tuple(sorted(map(str, values))), tuple(sorted(values).index(value) for value in values))}


def test_integer_labels_with_a_list_of_names(tmp_path):
    rows = [{"text": "x", "label": 1, "label_name": "Sports"}, {"text": "y", "label": 0, "label_name": "World"}]
    (tmp_path / "labels.txt").write_text("World\nSports\n", encoding="utf-8")
    data = Local(str(folder(tmp_path, train=rows, validation=rows, test=rows)))()
    assert (data.labels, data.train.references, data.name) == (("World", "Sports"), [1, 0], tmp_path.name)


def test_a_list_of_names_lies_beside_the_splits_or_above_them(tmp_path):
    rows = [{"text": "x", "label": 1}, {"text": "y", "label": 0}]
    (tmp_path / "data").mkdir()
    folder(tmp_path / "data", train=rows, validation=rows, test=rows)
    inner, outer = tmp_path / "data/labels.txt", tmp_path / "labels.txt"
    inner.write_text("World\nSports\n")
    assert Local(str(tmp_path))().labels == ("World", "Sports")
    outer.write_text("World\nSports")
    assert Local(str(tmp_path))().labels == ("World", "Sports")
    outer.write_text("Sports\nWorld")
    assert refusal(tmp_path) == f"{inner} and {outer} give other names or another order. Keep one of them"
    inner.unlink()
    assert Local(str(tmp_path))().labels == ("Sports", "World")


@pytest.mark.parametrize("text", ["World\nSports", "World\r\nSports\r\n", "\ufeffWorld\nSports\n"])
def test_the_list_of_names_ends_and_begins_as_editors_write_it(tmp_path, text):
    (tmp_path / "labels.txt").write_bytes(text.encode())
    rows = [{"text": "x", "label": 1}, {"text": "y", "label": 0}]
    assert Local(str(folder(tmp_path, train=rows, validation=rows, test=rows)))().labels == ("World", "Sports")


def test_a_list_of_names_that_is_no_text(tmp_path):
    (tmp_path / "labels.txt").write_bytes("café\nthé\n".encode("latin-1"))
    folder(tmp_path, train=ROWS)
    assert refusal(tmp_path) == (
        f"cannot read {tmp_path / 'labels.txt'}: 'utf-8' codec can't decode byte 0xe9 in position 3: "
        "invalid continuation byte. Expected UTF-8 text, one label name a line"
    )


def test_a_list_of_names_ends_where_names_do(tmp_path):
    folder(tmp_path, train=ROWS, validation=ROWS, test=ROWS)
    (tmp_path / "labels.txt").write_text(" a \nb\u2028c\nb\n \n\n", encoding="utf-8")
    assert Local(str(tmp_path))().labels == ("a", "b\u2028c", "b")
    (tmp_path / "labels.txt").write_text("a\n\nb\n", encoding="utf-8")
    assert refusal(tmp_path) == "labels.txt: name 2 is empty; expected one name a line"


def test_other_names_of_files_and_columns(tmp_path):
    rows = [{"body": "x", "kind": "a"}, {"body": "y", "kind": "b"}]
    folder(tmp_path, ".csv", learn=rows, dev=rows, exam=rows)
    source = Local(
        str(tmp_path), name="mail", text="body", label="kind", train="learn", validation="dev", test="exam", limit=1
    )
    data = source()
    assert data.name == "mail"
    assert [len(split) for split in (data.train, data.validation, data.test)] == [1, 1, 1]


def test_a_split_set_to_null_is_not_read(tmp_path):
    rows = [{"text": f"{i}", "label": f"{i % 2}"} for i in range(20)]
    folder(tmp_path, train=rows, validation=rows[:3], test=rows[:5])
    assert len(Local(str(tmp_path), test=None)().test) == 3
    assert len(Local(str(tmp_path), validation=None)().validation) == 2  # one in ten of train


@pytest.mark.parametrize("suffix", [".jsonl", ".csv"])
@pytest.mark.parametrize("label", [None, -1])
def test_a_test_file_without_labels_is_not_used(tmp_path, suffix, label):
    rows = [{"text": f"{i}", "label": f"{i % 2}"} for i in range(20)]
    hidden = [{"text": "x", "label": label}, {"text": "y", "label": label}]
    data = Local(str(folder(tmp_path, suffix, train=rows, validation=rows[:3], test=hidden)))()
    assert data.test.texts == ["0", "1", "2"]
    assert data.notes[0] == "the test split has no labels and was not used"


def test_one_missing_label_in_the_test_file_is_a_fault(tmp_path):
    folder(tmp_path, train=ROWS, validation=ROWS, test=[*ROWS, {"text": "x", "label": None}])
    assert refusal(tmp_path).startswith(f"{tmp_path / 'test.jsonl'}, row 3: column 'label' is empty")


def test_no_such_folder(tmp_path):
    path = tmp_path / "nowhere"
    assert refusal(path) == (f"data.path={path} is not a folder; expected one that holds train.jsonl, .csv or .parquet")


def test_no_training_file(tmp_path):
    folder(tmp_path, ".csv", training=ROWS)
    assert refusal(tmp_path) == (
        f"{tmp_path} has no file for data.train=train: expected train with one of "
        ".jsonl, .jsonl.gz, .json, .json.gz, .csv, .csv.gz, .tsv, .tsv.gz, .parquet, .arrow, .txt, .txt.gz; "
        "found training.csv"
    )


def test_a_split_elsewhere_than_the_training_split_is_refused(tmp_path):
    rows, inner = [{"text": f"{i}", "label": f"{i % 2}"} for i in range(20)], tmp_path / "data"
    inner.mkdir()
    folder(inner, ".csv", train=rows)
    folder(tmp_path, ".csv", test=rows[:3])
    assert refusal(tmp_path) == (
        f"{tmp_path / 'test'} is not read, for the training split lies in {inner}. Move it there, or read it with "
        "data.test=../test, or leave it out with data.test=null"
    )
    assert len(Local(str(tmp_path), test="../test")().test) == 3
    folder(tmp_path, ".csv", train=rows)
    folder(inner, ".csv", validation=rows[:4])
    assert "or read it with data.validation=data/validation, or" in refusal(tmp_path)
    assert len(Local(str(tmp_path), validation="data/validation")().validation) == 4
    assert len(Local(str(tmp_path), validation=None)().validation) == 2


def test_a_named_file_must_be_there(tmp_path):
    folder(tmp_path, train=ROWS)
    assert refusal(tmp_path, test="exam").startswith(f"{tmp_path} has no file for data.test=exam: expected exam with")


BROKEN = {
    "not JSON": (
        "train.jsonl",
        b'{"text": "x", "label": 0}\n{"text": \n',
        "{path}, line 2: not JSON (Expecting value at column 9)",
    ),
    "a list": (
        "train.jsonl",
        b'{"text": "x", "label": 0}\n\n[1]\n',
        "{path}, line 3: expected a JSON object, got list",
    ),
    "short": ("train.csv", b"text,label\nx,a\ny\n", "{path}, line 3: expected 2 fields as in the header"),
    "long": ("train.csv", b"text,label\nx,a\ny,b,c\n", "{path}, line 3: expected 2 fields as in the header"),
    "quote": ("train.csv", b'text,label\n"x"y,a\n', "{path}, line 2: not CSV (',' expected after '\"')"),
    "bytes": ("train.jsonl", b'{"text": "caf\xe9"}\n', "cannot read {path}: 'utf-8' codec can't decode byte 0xe9"),
    "not gzip": ("train.csv.gz", b"text,label\n", "cannot read {path}: Not a gzipped file"),
    "cut": (
        "train.jsonl.gz",
        gzip.compress(json_lines(ROWS * 50))[:-12],
        "cannot read {path}: Compressed file ended before the end-of-stream marker was reached. Expected UTF-8 jsonl",
    ),
    "damaged": (
        "train.csv.gz",
        gzip.compress(b"")[:10] + b"\xff" * 40,
        "cannot read {path}: Error -3 while decompressing data",
    ),
    "not parquet": ("train.parquet", b"text,label\n", "cannot read {path}: "),
}


@pytest.mark.parametrize("case", BROKEN)
def test_a_broken_file_is_named_with_its_line(tmp_path, case):
    name, content, expected = BROKEN[case]
    path = tmp_path / name
    path.write_bytes(content)
    assert refusal(tmp_path).startswith(expected.format(path=path))


def test_half_a_surrogate_pair_is_not_text(tmp_path):
    path = tmp_path / "train.jsonl"
    path.write_text('{"text": "\\ud83d\\ude00", "label": "a"}\n{"text": "cut \\ud83d", "label": "b"}\n')
    assert refusal(tmp_path) == (
        f"{path}, line 2: holds half of a surrogate pair, which is no text; replace it, for example by U+FFFD"
    )


@pytest.mark.parametrize("suffix", [".jsonl", ".csv"])
def test_a_byte_order_mark_is_no_part_of_the_first_column(tmp_path, suffix):
    (tmp_path / f"train{suffix}").write_bytes(b"\xef\xbb\xbf" + FORMATS[suffix](ROWS))
    assert list(read_table(tmp_path / f"train{suffix}").columns) == ["text", "label"]


def test_a_pointer_in_place_of_a_file(tmp_path):
    (tmp_path / "train.jsonl").write_text("version https://git-lfs.github.com/spec/v1\noid sha256:4d\nsize 9\n")
    assert refusal(tmp_path).startswith(f"{tmp_path / 'train.jsonl'} is a Git LFS pointer, and not the file itself")


def test_another_name_of_the_validation_split_is_said(tmp_path):
    rows = [{"text": f"{i}", "label": f"{i % 2}"} for i in range(20)]
    folder(tmp_path, ".csv", train=rows, dev=rows[:4], test=OTHERS)
    with pytest.raises(MillisError, match="label 'b' does not occur"):
        Local(str(tmp_path))()
    folder(tmp_path, ".csv", test=[{"text": "x", "label": "1"}])
    assert Local(str(tmp_path))().notes[0] == "dev was not read: data.validation=dev makes it the validation split"
    assert not any("was not read" in note for note in Local(str(tmp_path), validation="dev")().notes)


def test_bytes_are_text_and_lists_are_none(tmp_path):
    folder(tmp_path, ".parquet", train=[{"text": row["text"].encode(), "label": row["label"].encode()} for row in ROWS])
    data = Local(str(folder(tmp_path, ".jsonl", validation=OTHERS, test=OTHERS)))()
    assert (data.labels, data.train.texts) == (("a", "b"), [row["text"] for row in ROWS])
    (tmp_path / "train.parquet").unlink()
    folder(tmp_path, ".jsonl", train=[ROWS[0], {"text": ["two", "words"], "label": "b"}])
    assert refusal(tmp_path).startswith(
        f"{tmp_path / 'train.jsonl'}, row 2: column 'text' holds a list (['two', 'words']); expected text"
    )
