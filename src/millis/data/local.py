"""Local files as a source: a folder with the files of each split, in JSON, CSV, Parquet or Arrow, gzip or not."""

import os
from dataclasses import dataclass
from pathlib import Path

from millis.data.assemble import dataset_from_tables
from millis.data.columns import Columns
from millis.data.dataset import Dataset
from millis.data.formats import SUFFIXES, read_table
from millis.data.formats.opened import opened, refuse_pointer
from millis.data.layout import elsewhere, files_of, other_validation, root_of
from millis.data.one_label import LABEL_NAMES, ONE_LABEL
from millis.data.references import References, Unseen
from millis.data.table import Table
from millis.errors import MillisError


@dataclass(frozen=True)
class Local:
    """Reads `<path>/<split>.{jsonl,json,csv,tsv,parquet,arrow}[.gz]`, or shards of it (`millis.data.layout`).

    `labels.txt` gives the names of labels, one a line, by index, where it exists.

    Args:
        path: The folder.
        name: How runs on it are named; empty takes the folder's name.
        text, text_pair, label: Columns; None finds the usual names (`text`, or `text_a` and `text_b`, ...).
        train, validation, test: Stem or name of each split's file. `validation: null` cuts one row in ten from train;
            `test: null` judges by validation and cuts another validation from train.
        unseen_labels: `error`; `drop` rows without a label, and rows whose label no training row has; `keep` these.
        limit: At most this many rows a split.
        unlabelled: File or folder of texts without labels, for students to learn from as the teacher answers them.
    """

    path: str
    name: str = ""
    text: str | None = None
    text_pair: str | None = None
    label: str = "label"
    train: str = "train"
    validation: str | None = "validation"
    test: str | None = "test"
    unseen_labels: Unseen = "error"
    limit: int | None = None
    unlabelled: str | None = None

    def __post_init__(self) -> None:
        object.__setattr__(self, "name", self.name or self.folder.resolve().name)

    @property
    def folder(self) -> Path:
        """The folder, `~` being the home folder."""
        return Path(self.path).expanduser()

    @property
    def columns(self) -> Columns:
        """What is read."""
        return Columns(self.text, self.text_pair, self.label)

    @property
    def stems(self) -> dict[str, str | None]:
        """What each split is called."""
        return {"train": self.train, "validation": self.validation, "test": self.test}

    def __call__(self, references: References = ONE_LABEL) -> Dataset:
        """Read the splits.

        Args:
            references: What is read beside the texts.

        Raises:
            MillisError: no such folder or training file, a split that lies elsewhere, or a line that cannot be
                read (it is named).
        """
        if not self.folder.is_dir():
            raise MillisError(
                f"data.path={self.folder} is not a folder; expected one that holds train.jsonl, .csv or .parquet"
            )
        root = root_of(self.folder, self.stems["train"] or "train")
        found = {split: self._tables(root, split, stem) for split, stem in self.stems.items() if stem is not None}
        notes = []
        if found.get("validation") == [] and (others := other_validation(root)):
            notes.append(f"{others[0]} was not read: data.validation={others[0]} makes it the validation split")
        return dataset_from_tables(
            self.name,
            {split: tables for split, tables in found.items() if tables},
            self.columns,
            self._label_names(root),
            references=references,
            unseen_labels=self.unseen_labels,
            limit=self.limit,
            unlabelled=self.unlabelled,
            notes=notes,
        )

    def _tables(self, root: Path, split: str, stem: str) -> list[Table]:
        files = files_of(root, stem, split)
        if not files and split != "train" and (other := elsewhere(self.folder, root, stem)):
            raise MillisError(
                f"{other} is not read, for the training split lies in {root}. Move it there, or read it with "
                f"data.{split}={os.path.relpath(other, root)}, or leave it out with data.{split}=null"
            )
        if not files and (split == "train" or stem != split):
            raise MillisError(
                f"{self.folder} has no file for data.{split}={stem}: "
                f"expected {stem} with one of {', '.join(SUFFIXES)}; "
                f"found {', '.join(sorted(path.name for path in self.folder.iterdir())) or 'nothing'}"
            )
        return [read_table(file) for file in files]

    def _label_names(self, root: Path) -> list[str] | None:
        """The names in `labels.txt`, which lies beside the splits or in the folder itself.

        Raises:
            MillisError: there are two, and they differ.
        """
        paths = {folder / LABEL_NAMES: None for folder in (root, self.folder) if (folder / LABEL_NAMES).is_file()}
        found = [_lines(path) for path in paths]
        if any(names != found[0] for names in found):
            raise MillisError(f"{' and '.join(map(str, paths))} give other names or another order. Keep one of them")
        return found[0] if found else None


def _lines(path: Path) -> list[str]:
    refuse_pointer(path)
    with opened(path, "UTF-8 text, one label name a line") as file:
        names = [line.strip() for line in file]
    while names and not names[-1]:
        names.pop()
    return names
