"""A file of plain text is one document."""

import gzip

import pytest

from millis.data.formats import read_table
from millis.errors import MillisError


def read(path, content):
    path.write_bytes(content)
    return list(read_table(path).cells(["text"]))


def test_a_file_is_one_row_with_the_column_text(tmp_path):
    path = tmp_path / "train.txt"
    path.write_text("one\n\ntwo, größer\n", encoding="utf-8")
    table = read_table(path)
    assert (table.where, table.columns) == (str(path), ("text",))
    assert list(table.cells(["label", "text"])) == [(None, "one\n\ntwo, größer\n")]


@pytest.mark.parametrize("ends", ["\n", "\r\n", "\r"])
def test_line_ends_are_lf(tmp_path, ends):
    assert read(tmp_path / "x.txt", ends.join(["a", "", "b\u2028c"]).encode()) == [("a\n\nb\u2028c",)]


def test_a_compressed_file_and_one_with_a_byte_order_mark_read_alike(tmp_path):
    plain = read(tmp_path / "x.txt", b"a\nb")
    assert read(tmp_path / "x.txt.gz", gzip.compress(b"a\nb")) == plain
    assert read(tmp_path / "x.txt", b"\xef\xbb\xbfa\nb") == plain


def test_an_empty_file_is_a_document_without_text(tmp_path):
    assert read(tmp_path / "x.txt", b"") == [("",)]


def test_what_is_no_text_is_refused_when_it_is_read(tmp_path):
    path = tmp_path / "x.txt"
    path.write_bytes(b"gr\xf6\xdfer")
    table = read_table(path)
    with pytest.raises(MillisError, match=r"x\.txt: .*Expected UTF-8 text"):
        list(table.cells(["text"]))
