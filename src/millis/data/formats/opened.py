"""Files opened for reading, with every fault that a file can have said with its path."""

import gzip
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TextIO

from millis.errors import MillisError

POINTER = b"version https://git-lfs.github.com/spec/"


def kind_of(path: Path) -> str:
    """`train.csv.gz` → `csv`."""
    return path.name.removesuffix(".gz").rsplit(".", 1)[-1]


@contextmanager
def readable(path: Path, expected: str | None = None) -> Iterator[None]:
    """Read `path` within this.

    Raises:
        MillisError: it cannot be read; says why, and what was expected.
    """
    try:
        yield
    except (OSError, EOFError, ValueError, NotImplementedError, zlib.error) as error:
        raise MillisError(f"cannot read {path}: {error}. Expected {expected or f'UTF-8 {kind_of(path)}'}") from error


@contextmanager
def opened(path: Path, expected: str | None = None) -> Iterator[TextIO]:
    """`path` as UTF-8 text, gzip or not, without a byte order mark, its line ends as they are."""
    with (
        readable(path, expected),
        (gzip.open if path.suffix == ".gz" else open)(path, "rt", encoding="utf-8-sig", newline="") as file,
    ):
        yield file


def refuse_pointer(path: Path) -> None:
    """Refuse what Git keeps in the place of a large file.

    Raises:
        MillisError: says how to get the file.
    """
    with readable(path), path.open("rb") as file:
        start = file.read(len(POINTER))
    if start == POINTER:
        raise MillisError(f"{path} is a Git LFS pointer, and not the file itself: run `git lfs pull` in its repository")
