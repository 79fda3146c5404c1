"""Texts without labels, which students learn from: most users have many more of them.

A file of tables is read as the splits are, by the columns that hold their texts; a `.txt` has one text a line.
"""

from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path

from millis.data.cells import CellError, text_of
from millis.data.columns import check
from millis.data.dataset import Split
from millis.data.formats import SUFFIXES, TEXTS, read_table
from millis.data.formats.opened import opened
from millis.data.overlaps import words_of
from millis.errors import MillisError
from millis.types import Text

KEY = "data.unlabelled"
NO_WORDS, JUDGED, KNOWN = "have no words", "also occur in validation or test", "occur in train, or more than once"


def unlabelled(
    source: Path | Sequence[Text], columns: Sequence[str], splits: dict[str, Split], notes: list[str]
) -> list[Text]:
    """The texts of a file, or of all files of a folder, that no split has.

    Args:
        source: The file or folder; or the texts.
        columns: That hold texts, one or two.
        splits: `train`, `validation` and `test`. What is judged must not be learned; texts that differ in case or
            blanks alone are the same.
        notes: What was read and left out is added here.

    Raises:
        MillisError: no such file, a column or a text is missing, or no text is left.
    """
    judged = {words_of(text) for split in ("validation", "test") for text in splits[split].texts}
    known = {words_of(text) for text in splits["train"].texts}
    kept, without = distinct(source, columns, judged, known)
    notes.append(f"{len(kept)} texts without labels, which the teacher answers{without}")
    return kept


def distinct(
    source: Path | Sequence[Text], columns: Sequence[str], judged: set[Text], known: set[Text], key: str = KEY
) -> tuple[list[Text], str]:
    """The texts of a file, or of all files of a folder, each once, and what was left out, for readers.

    Args:
        source, columns: As for `unlabelled`.
        judged, known: Words (`millis.data.overlaps.words_of`) of texts that are left out.
        key: Whose value `source` is.

    Raises:
        MillisError: as `unlabelled`.
    """
    kept: list[Text] = []
    seen, left_out = set(known), Counter[str]()
    for text in _texts(source, columns, key) if isinstance(source, Path) else _checked(source, len(columns), key):
        words = words_of(text)
        reason = NO_WORDS if not words else JUDGED if words in judged else KNOWN if words in seen else None
        if reason is None:
            seen.add(words)
            kept.append(text)
        else:
            left_out[reason] += 1
    without = "; ".join(f"{count} left out: they {reason}" for reason, count in sorted(left_out.items()))
    if not kept:
        named = source if isinstance(source, Path) else f"{len(source)} texts"
        raise MillisError(f"{key}={named} has no text to learn from ({without or 'it is empty'})")
    return kept, f" ({without})" if without else ""


def state_of(path: Path, key: str) -> tuple[tuple[str, int, int], ...]:
    """What tells the files that `path` stands for from those that stood there before: names, sizes, times.

    Raises:
        MillisError: there is none, or none that is known.
    """
    found = [(file, file.stat()) for file in _files(path, key)]
    return tuple((str(file), said.st_size, said.st_mtime_ns) for file, said in found)


def _checked(texts: Sequence[Text], parts: int, key: str) -> Iterator[Text]:
    expected = "a text" if parts == 1 else "a pair of texts"
    for number, text in enumerate(texts, start=1):
        given = [text] if isinstance(text, str) else list(text)
        if len(given) != parts or not all(isinstance(part, str) for part in given):
            raise MillisError(f"{key}, text {number}: expected {expected}, as in the training rows, got {text!r}")
        yield given[0] if parts == 1 else (given[0], given[1])


def _texts(path: Path, columns: Sequence[str], key: str) -> Iterator[Text]:
    for file in _files(path, key):
        yield from _lines(file, columns) if file.name.endswith(TEXTS) else _cells(file, columns)


def _files(path: Path, key: str) -> list[Path]:
    found = sorted(path.iterdir()) if path.is_dir() else [path]
    files = [file for file in found if file.is_file() and file.name.endswith(SUFFIXES)]
    if not files:
        raise MillisError(
            f"{key}={path}: expected a file, or a folder with files, that end in one of {', '.join(SUFFIXES)}"
        )
    return files


def _lines(file: Path, columns: Sequence[str]) -> Iterator[Text]:
    if len(columns) > 1:
        raise MillisError(
            f"{file} has one text a line, and the data set has pairs ({' and '.join(columns)}). Give pairs as JSON "
            "lines, CSV or Parquet with these columns"
        )
    with opened(file, "UTF-8 text, one text a line") as lines:
        yield from (line.rstrip("\r\n") for line in lines)


def _cells(file: Path, columns: Sequence[str]) -> Iterator[Text]:
    table = read_table(file)
    if table.columns:
        check(table, columns)
    for number, cells in enumerate(table.cells(columns), start=1):
        try:
            parts = [text_of(cell, column) for cell, column in zip(cells, columns, strict=True)]
        except CellError as error:
            raise MillisError(f"{table.where}, row {number}: {error}") from error
        yield parts[0] if len(parts) == 1 else (parts[0], parts[1])
