"""Local files as a source: a folder with one file a split, in JSON lines, CSV or Parquet, gzip or not."""

import csv
import gzip
import json
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any, TextIO

from millis.data.dataset import Columns, Dataset, Row, dataset_from_rows
from millis.errors import MillisError

SUFFIXES = (".jsonl", ".jsonl.gz", ".csv", ".csv.gz", ".parquet")
LABEL_NAMES = "labels.txt"
UNLABELLED = (None, "", -1, "-1")  # what stands for a label that is withheld


class Local:
    """Reads `<path>/<split>.{jsonl,csv,parquet}[.gz]`; `labels.txt` (one name a line, by index) where it exists.

    Args:
        path: The folder.
        name: How runs on it are named; None takes the folder's name.
        text, text_pair, label: Columns; None finds the usual names (`text`, or `text_a` and `text_b`, ...).
        train, validation, test: Stem of each split's file. `validation: null` cuts one row in ten from train;
            `test: null` judges by validation and cuts another validation from train.
        unseen_labels: `error`, or `drop` rows whose label never occurs in training.
        limit: At most this many rows a split.
    """

    def __init__(
        self,
        path: str,
        name: str | None = None,
        text: str | None = None,
        text_pair: str | None = None,
        label: str = "label",
        train: str = "train",
        validation: str | None = "validation",
        test: str | None = "test",
        unseen_labels: str = "error",
        limit: int | None = None,
    ) -> None:
        self.folder = Path(path).expanduser()
        self.name = name or self.folder.resolve().name
        self.columns = Columns(text, text_pair, label)
        self.stems = {"train": train, "validation": validation, "test": test}
        self.unseen_labels = unseen_labels
        self.limit = limit

    def __call__(self) -> Dataset:
        """Read the splits.

        Raises:
            MillisError: no such folder or training file, or a line that cannot be read (it is named).
        """
        if not self.folder.is_dir():
            raise MillisError(
                f"data.path={self.folder} is not a folder; expected one that holds train.jsonl, .csv or .parquet"
            )
        rows, notes = {}, []
        for split, stem in self.stems.items():
            if stem is None:
                continue
            file = self._file(stem)
            if file is not None:
                rows[split] = list(read_rows(file))
            elif split == "train" or stem != split:
                raise MillisError(
                    f"{self.folder} has no file for data.{split}={stem}: "
                    f"expected {stem} with one of {', '.join(SUFFIXES)}; "
                    f"found {', '.join(sorted(path.name for path in self.folder.iterdir())) or 'nothing'}"
                )
        if rows.get("test") and all(row.get(self.columns.label) in UNLABELLED for row in rows["test"]):
            del rows["test"]
            notes.append("the test file has no labels and was not used")
        return dataset_from_rows(
            self.name, rows, self.columns, self._label_names(),
            unseen_labels=self.unseen_labels, limit=self.limit, notes=notes,
        )  # fmt: skip

    def _file(self, stem: str) -> Path | None:
        return next((path for suffix in SUFFIXES if (path := self.folder / f"{stem}{suffix}").is_file()), None)

    def _label_names(self) -> list[str] | None:
        path = self.folder / LABEL_NAMES
        return path.read_text(encoding="utf-8-sig").removesuffix("\n").split("\n") if path.is_file() else None


def read_rows(path: Path) -> Iterator[Row]:
    """Rows of a `.jsonl`, `.csv` or `.parquet` file, gzip or not.

    Raises:
        MillisError: the file cannot be read; the line is named.
    """
    kind = path.name.removesuffix(".gz").rsplit(".", 1)[-1]
    try:
        if kind == "parquet":
            import pyarrow.parquet

            yield from pyarrow.parquet.read_table(path).to_pylist()
            return
        opened = gzip.open if path.suffix == ".gz" else open
        with opened(path, "rt", encoding="utf-8-sig", newline="") as file:  # spreadsheets write a byte order mark
            yield from (_json_lines if kind == "jsonl" else _csv_lines)(file, path)
    except (OSError, EOFError, ValueError, zlib.error) as error:
        raise MillisError(f"cannot read {path}: {error}. Expected UTF-8 {kind}") from error


def _json_lines(file: TextIO, path: Path) -> Iterator[dict[str, Any]]:
    for number, line in enumerate(file, start=1):
        if not line.strip():
            continue
        try:
            row = json.loads(line.rstrip())
        except json.JSONDecodeError as error:
            raise MillisError(f"{path}, line {number}: not JSON ({error.msg} at column {error.colno})") from error
        if not isinstance(row, dict):
            raise MillisError(f"{path}, line {number}: expected a JSON object, got {type(row).__name__}")
        if "\\u" in line and not _encodable(row):
            raise MillisError(
                f"{path}, line {number}: holds half of a surrogate pair, which is no text; "
                "replace it, for example by U+FFFD"
            )
        yield row


def _encodable(row: dict[str, Any]) -> bool:
    """Whether every text in `row` has a UTF-8 form; JSON's escapes can name code points that have none."""
    try:
        json.dumps(row, ensure_ascii=False).encode()
    except UnicodeEncodeError:
        return False
    return True


def _csv_lines(file: TextIO, path: Path) -> Iterator[dict[str, Any]]:
    reader = csv.DictReader(file, strict=True)
    try:
        for row in reader:
            if None in row or None in row.values():
                raise MillisError(
                    f"{path}, line {reader.line_num}: expected {len(reader.fieldnames or ())} fields as in the header"
                )
            yield row
    except csv.Error as error:
        raise MillisError(f"{path}, line {reader.reader.line_num}: not CSV ({error})") from error
