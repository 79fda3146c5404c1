"""JSON in lines and in one list."""

import json

import pytest

from millis.data.formats import read_table
from millis.errors import MillisError

ROWS = [{"text": "x\u2028y", "label": "a"}, {"label": 1, "text": None}]


def refusal(path, content):
    path.write_text(content, encoding="utf-8")
    with pytest.raises(MillisError) as caught:
        list(read_table(path).cells(["text", "label"]))
    return str(caught.value)


@pytest.mark.parametrize("name", ["train.json", "train.jsonl"])
@pytest.mark.parametrize(
    "write",
    [
        json.dumps,
        lambda rows: "\ufeff\n" + json.dumps(rows, indent=1),
        lambda rows: "\n\n".join(json.dumps(row, ensure_ascii=False) for row in rows),
    ],
)
def test_lines_and_lists_are_told_apart_by_their_beginning(tmp_path, name, write):
    path = tmp_path / name
    path.write_text(write(ROWS), encoding="utf-8")
    table = read_table(path)
    assert table.columns == ("text", "label")
    assert list(table.cells(["label", "text"])) == [("a", "x\u2028y"), (1, None)]


def test_a_key_that_stands_twice(tmp_path):
    path = tmp_path / "train.jsonl"
    twice = '{"text": "x", "label": 1}\n{"text": "y", "label": 2, "text": "z"}\n'
    assert refusal(path, twice) == (
        f"{path}, line 2: a key stands twice, so what it means is not clear. Keep one of the two"
    )
    path.write_text('{"text": "x", "label": 1, "spans": {"a": 1, "a": 2}}\n')  # nobody reads that column
    assert list(read_table(path).cells(["text"])) == [("x",)]


@pytest.mark.parametrize(
    ("content", "fault"),
    [
        ('[{"text": "x"}, 3]', "item 2: expected a JSON object, got int"),
        (
            '[{"text": "x"}\n{"text": "y"}]',
            "not JSON (Expecting ',' delimiter at line 2, column 1). Expected an object a",
        ),
        (
            '{\n"text": "x"}',
            "line 1: not JSON (Expecting property name enclosed in double quotes at column 2). Expected",
        ),
        ("[" * 100_000, "cannot be read (maximum recursion depth exceeded"),
        ('[{"text": "\\ud83d"}]', "item 1: holds half of a surrogate pair"),
    ],
)
def test_what_is_no_table_is_refused_with_its_place(tmp_path, content, fault):
    path = tmp_path / "train.json"
    assert fault in refusal(path, content)
    assert refusal(path, content).startswith(str(path))


def test_an_empty_file_has_no_rows(tmp_path):
    for content in ("", "\n", "[]"):
        (tmp_path / "train.json").write_text(content)
        table = read_table(tmp_path / "train.json")
        assert (table.columns, list(table.cells(["text"]))) == ((), [])
