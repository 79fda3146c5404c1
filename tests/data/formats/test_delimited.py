"""CSV and its kin: separators, quotation marks, long fields, repeated names."""

import csv

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from millis.data.formats import read_table
from millis.errors import MillisError


def read(path, content, *names):
    path.write_bytes(content.encode())
    table = read_table(path)
    return table, list(table.cells(names or ("text", "label")))


def refusal(path, content):
    with pytest.raises(MillisError) as caught:
        read(path, content)
    return str(caught.value)


@pytest.mark.parametrize(
    ("name", "separator", "words"),
    [
        ("train.csv", ",", None),
        ("train.csv", ";", "semicolons"),
        ("train.csv", "\t", "tabs"),
        ("train.csv", "|", "bars"),
        ("train.tsv", "\t", None),
        ("train.tsv", ",", "commas"),
    ],
)
def test_the_separator_of_the_header_is_taken_and_said(tmp_path, name, separator, words):
    text = "".join(mark for mark in "a, b; c | d \t e" if mark != separator)
    table, rows = read(tmp_path / name, f"text{separator}label\n{text}{separator}x\n")
    assert table.columns == ("text", "label")
    assert rows == [(text, "x")]
    kind = name.removeprefix("train.")
    expected = () if words is None else (f"{kind} files are read with {words} between columns, as their header has",)
    assert table.notes == expected


def test_a_header_that_can_be_read_in_two_ways(tmp_path):
    path = tmp_path / "train.csv"
    assert refusal(path, "text;label|kind\nx;a|b\n") == (
        f"{path}: its header can be read with semicolons or bars between columns. Save it again with commas"
    )


def test_columns_come_as_asked_and_missing_ones_are_none(tmp_path):
    _, rows = read(tmp_path / "train.csv", "id,text,label\n1,x,a\n\n2,y,b\n", "label", "other", "text")
    assert rows == [("a", None, "x"), ("b", None, "y")]


def test_blanks_around_names_and_after_separators(tmp_path):
    table, rows = read(tmp_path / "train.csv", 'text , label\n"x", "a, b"\ny, c\n')
    assert table.columns == ("text", "label")
    assert rows == [("x", "a, b"), ("y", "c")]


def test_blanks_of_a_text_are_kept(tmp_path):
    assert read(tmp_path / "train.csv", "label,text\na, x\n")[1] == [(" x", "a")]


def test_a_repeated_name_is_refused(tmp_path):
    path = tmp_path / "train.csv"
    assert refusal(path, "text,label, text\nx,a,y\n").startswith(f"{path}: the column name 'text' stands twice")


def test_a_document_longer_than_the_modules_limit(tmp_path):
    text = "word " * 40_000
    assert read(tmp_path / "train.csv", f"text,label\n{text},a\n")[1] == [(text, "a")]


def test_a_row_of_another_width_is_named(tmp_path):
    path = tmp_path / "train.csv"
    assert refusal(path, "text;label\nx;a\ny;b;c\n") == (
        f"{path}, line 3: expected 2 fields as in the header, found 3 with semicolons between them. "
        "Put texts that hold ';' in quotation marks"
    )


def test_quotation_marks_between_tabs(tmp_path):
    enclosing = 'text\tlabel\n"say ""yes""\tor no"\ta\nb\tc\n'
    table, rows = read(tmp_path / "train.tsv", enclosing)
    assert (rows, table.notes) == ([('say "yes"\tor no', "a"), ("b", "c")], ())
    literal = 'text\tlabel\n"Great" film\tgood\n"quoted\tbad\nnot"\tbad\n'
    table, rows = read(tmp_path / "dev.tsv", literal)
    assert rows == [('"Great" film', "good"), ('"quoted', "bad"), ('not"', "bad")]
    assert table.notes == ("quotation marks are read as characters of the text, for they do not enclose fields",)


def test_marks_that_would_swallow_rows_between_tabs(tmp_path):
    # Enclosed, this would be one row: its text holds a tab and a line's end.
    _, rows = read(tmp_path / "train.tsv", 'text\tlabel\n"x\ta\ny"\tb\n')
    assert rows == [('"x', "a"), ('y"', "b")]


@settings(max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    st.lists(
        st.tuples(st.text(st.characters(codec="utf-8", exclude_characters="\0"), min_size=1), st.sampled_from("ab")),
        min_size=1,
    ),
    st.sampled_from([("csv", ","), ("csv", ";"), ("csv", "|"), ("csv", "\t")]),
)
def test_what_the_csv_module_writes_is_read(tmp_path, rows, written):
    suffix, separator = written
    path = tmp_path / f"train.{suffix}"
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file, delimiter=separator)
        writer.writerows([("text", "label"), *rows])
    assert list(read_table(path).cells(["text", "label"])) == rows
