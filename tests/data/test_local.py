"""Local files: every format, the common layout, and files that are broken."""

import csv
import gzip
import io
import json

import pyarrow
import pyarrow.parquet
import pytest

from millis.data.local import Local, read_rows
from millis.errors import MillisError

ROWS = [{"text": 'say "yes", or\r\nno – größe', "label": "a"}, {"text": "two", "label": "b"}]


def json_lines(rows):
    return "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows).encode()


def comma_separated(rows):
    file = io.StringIO(newline="")
    writer = csv.DictWriter(file, rows[0])
    writer.writeheader()
    writer.writerows(rows)
    return file.getvalue().encode()


def parquet(rows):
    file = io.BytesIO()
    pyarrow.parquet.write_table(pyarrow.Table.from_pylist(rows), file)
    return file.getvalue()


FORMATS = {
    ".jsonl": json_lines,
    ".jsonl.gz": lambda rows: gzip.compress(json_lines(rows)),
    ".csv": comma_separated,
    ".csv.gz": lambda rows: gzip.compress(comma_separated(rows)),
    ".parquet": parquet,
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
    data = Local(str(folder(tmp_path, suffix, train=ROWS, validation=ROWS, test=ROWS)))()
    assert data.labels == ("a", "b")
    assert data.train.texts == [row["text"] for row in ROWS]
    assert data.train == data.validation == data.test
    assert data.notes == []


def test_integer_labels_with_a_list_of_names(tmp_path):
    rows = [{"text": "x", "label": 1, "label_name": "Sports"}, {"text": "y", "label": 0, "label_name": "World"}]
    (tmp_path / "labels.txt").write_text("World\nSports\n", encoding="utf-8")
    data = Local(str(folder(tmp_path, train=rows, validation=rows, test=rows)))()
    assert (data.labels, data.train.labels, data.name) == (("World", "Sports"), [1, 0], tmp_path.name)


@pytest.mark.parametrize("text", ["World\nSports", "World\r\nSports\r\n", "\ufeffWorld\nSports\n"])
def test_the_list_of_names_ends_and_begins_as_editors_write_it(tmp_path, text):
    (tmp_path / "labels.txt").write_bytes(text.encode())
    rows = [{"text": "x", "label": 1}, {"text": "y", "label": 0}]
    assert Local(str(folder(tmp_path, train=rows, validation=rows, test=rows)))().labels == ("World", "Sports")


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
    assert data.notes[0] == "the test file has no labels and was not used"


def test_one_missing_label_in_the_test_file_is_a_fault(tmp_path):
    folder(tmp_path, train=ROWS, validation=ROWS, test=[*ROWS, {"text": "x", "label": None}])
    assert "split test, row 3: column 'label' is missing or null" in refusal(tmp_path)


def test_no_such_folder(tmp_path):
    path = tmp_path / "nowhere"
    assert refusal(path) == (f"data.path={path} is not a folder; expected one that holds train.jsonl, .csv or .parquet")


def test_no_training_file(tmp_path):
    folder(tmp_path, ".csv", training=ROWS)
    assert refusal(tmp_path) == (
        f"{tmp_path} has no file for data.train=train: expected train with one of "
        ".jsonl, .jsonl.gz, .csv, .csv.gz, .parquet; found training.csv"
    )


def test_a_named_file_must_be_there(tmp_path):
    folder(tmp_path, train=ROWS)
    assert refusal(tmp_path, test="exam").startswith(f"{tmp_path} has no file for data.test=exam: expected exam with")


BROKEN = {
    "not JSON": (
        "train.jsonl",
        b'{"text": "x"}\n{"text": \n',
        "{path}, line 2: not JSON (Expecting value at column 9)",
    ),
    "a list": ("train.jsonl", b'{"text": "x"}\n\n[1]\n', "{path}, line 3: expected a JSON object, got list"),
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
    path = tmp_path / f"train{suffix}"
    path.write_bytes(b"\xef\xbb\xbf" + FORMATS[suffix](ROWS))
    assert list(read_rows(path)) == ROWS
