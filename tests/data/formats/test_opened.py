"""Files that cannot be read, each with its reason."""

import gzip

import pytest

from millis.data.formats.opened import kind_of, opened, refuse_pointer
from millis.errors import MillisError

POINTER = b"version https://git-lfs.github.com/spec/v1\noid sha256:4d7a2146\nsize 12345\n"


def test_a_kind_is_known_by_the_suffix(tmp_path):
    assert [kind_of(tmp_path / name) for name in ("a.b.csv", "a.csv.gz", "a.parquet")] == ["csv", "csv", "parquet"]


@pytest.mark.parametrize("content", ["text\r\n", "\ufefftext\r\n"])
@pytest.mark.parametrize("suffix", ["", ".gz"])
def test_text_comes_without_byte_order_mark_and_with_its_line_ends(tmp_path, content, suffix):
    path = tmp_path / f"x.csv{suffix}"
    path.write_bytes(gzip.compress(content.encode()) if suffix else content.encode())
    with opened(path) as file:
        assert file.read() == "text\r\n"


def test_a_pointer_of_git_lfs_is_no_file(tmp_path):
    path = tmp_path / "train.parquet"
    path.write_bytes(POINTER)
    with pytest.raises(MillisError) as caught:
        refuse_pointer(path)
    assert str(caught.value) == (
        f"{path} is a Git LFS pointer, and not the file itself: run `git lfs pull` in its repository"
    )


def test_what_was_expected_is_said(tmp_path):
    path = tmp_path / "labels.txt"
    path.write_bytes("café".encode("latin-1"))
    fault = r"cannot read .*labels\.txt: 'utf-8' codec .* Expected UTF-8 text, one name"
    with pytest.raises(MillisError, match=fault), opened(path, "UTF-8 text, one name a line") as file:
        file.read()
