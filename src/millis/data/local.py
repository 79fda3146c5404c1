"""Local files as a source: a folder with the files of each split, in JSON, CSV, Parquet or Arrow, gzip or not."""

import os
from dataclasses import dataclass
from pathlib import Path

from millis.data.assemble import dataset_from_tables
from millis.data.dataset import Dataset
from millis.data.formats import SUFFIXES, read_table
from millis.data.formats.opened import opened, refuse_pointer
from millis.data.layout import elsewhere, files_of, other_validation, root_of
from millis.data.one_label import LABEL_NAMES, ONE_LABEL
from millis.data.references import References
from millis.data.stored import Stored
from millis.data.table import Table
from millis.errors import MillisError


@dataclass(frozen=True)
class Local(Stored):
    """Reads `<path>/<split>.{jsonl,json,csv,tsv,parquet,arrow}[.gz]`, or shards of it (`millis.data.layout`).

    `labels.txt` gives the names of labels, one a line, by index, where it exists.

    Args:
        path: The folder.
        train, validation, test, ...: As for `Stored`; a split's name is the stem or name of its file.
    """

    path: str

    def __post_init__(self) -> None:
        object.__setattr__(self, "name", self.name or self.folder.resolve().name)

    @property
    def folder(self) -> Path:
        """The folder, `~` being the home folder."""
        return Path(self.path).expanduser()

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
