"""Tables of a corpus: what is read, and how it is refused."""

import pytest

from millis.applications.tables import rows, tables, words_of
from millis.data.cells import CellError
from millis.errors import MillisError


def test_every_file_of_the_names_is_read_in_their_order(tmp_path):
    (tmp_path / "two.csv").write_text("a,b\n1,2\n3,4\n")
    (tmp_path / "one.jsonl").write_text('{"a": "x", "c": "y"}\n')
    first, second = tables(tmp_path, "one", "two", "three")
    assert list(rows(first, ("c", "a"), lambda c, a: c + a)) == ["yx"]
    assert list(rows(second, ("a", "b"), lambda a, b: (int(a), int(b)))) == [(1, 2), (3, 4)]


@pytest.mark.parametrize("made", [False, True])
def test_a_folder_without_them_says_what_is_expected(tmp_path, made):
    folder = tmp_path / "corpus"
    if made:
        folder.mkdir()
    with pytest.raises(MillisError, match=r"corpus has no file one or two with one of .*\.csv.*: expected songs"):
        tables(folder, "one", "two", expected="songs")


def test_a_cell_that_is_refused_is_named_with_file_and_row(tmp_path):
    (tmp_path / "one.csv").write_text("a\nwords\n\u200b\n", encoding="utf-8")
    (table,) = tables(tmp_path, "one")
    read = rows(table, ("a",), lambda cell: words_of(cell, "a", "a song"))
    assert next(read) == "words"
    with pytest.raises(MillisError, match=r"one\.csv, row 2: column 'a' has nothing but blanks; expected a song"):
        next(read)


@pytest.mark.parametrize("cell", [None, ["b"], " \t"])
def test_words_are_words(cell):
    assert words_of("b ", "a") == "b "
    with pytest.raises(CellError, match="column 'a'"):
        words_of(cell, "a")
