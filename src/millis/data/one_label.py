"""One label a text: a column of names or indices becomes indices into the names of labels."""

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from millis.data.cells import text_of
from millis.data.classes import Tables, classes_of, under
from millis.data.columns import Columns
from millis.data.dataset import Split
from millis.data.labels import Labels
from millis.data.mapped import KEEP, mapped
from millis.data.references import Read, Source, TextsAlone, Unseen
from millis.data.rows import Rows, read_rows
from millis.data.suspicions import label_notes, refuse_other_tasks
from millis.errors import MillisError
from millis.types import Text

LABEL = "label"
LABEL_NAMES = "labels.txt"
SHOWN = 3  # labels in a note
Given = tuple[Sequence[str], str]  # names by index, and what gives them


@dataclass(frozen=True)
class OneLabel(TextsAlone):
    """References are indices of labels."""

    reads_offsets: ClassVar[bool] = False

    def read(self, source: Source) -> Read:
        """Names and indices; see `millis.data.references.References`.

        Raises:
            MillisError: an empty split, a missing column, a class that is none of `given`, a label that is missing,
                unknown or unseen in training, a cell that holds neither a text nor one label.
        """
        rows, labels = labelled(source)
        return Read({LABEL: labels.names}, indexed(rows, labels, source))

    def stratum(self, reference: int) -> int:
        """The label."""
        return reference

    def group(self, reference: int) -> None:
        """None: each row stands for itself."""

    def targets(
        self, texts: Sequence[Text], references: Sequence[int], encodings: Sequence[Any]
    ) -> tuple[NDArray[np.int64]]:
        """The labels, [N]."""
        return (np.asarray(references, dtype=np.int64),)

    def unanswered(self, text: Text) -> int:
        """The first label."""
        return 0

    def answered(self, text: Text, categories: int, encoding: Any) -> int:
        """The likeliest label."""
        return categories


ONE_LABEL = OneLabel()


def labelled(source: Source, text: Callable[[Any, str], str] = text_of) -> tuple[dict[str, Rows], Labels]:
    """Rows of each split as they are written, and the labels; errors as for `OneLabel.read`.

    Args:
        text: A cell and its column to a text.
    """
    name, tables, columns, given, unseen, notes = source
    if given is not None:
        tables = under(tables, columns.label, given, LABEL_NAMES)
    rows, own = _read(name, tables, columns, text)
    origin = own if given is None else (given, LABEL_NAMES)
    return rows, _labels(rows, tables, columns.label, origin, unseen, notes)


def _read(
    name: str, tables: Tables, columns: Columns, text: Callable[[Any, str], str]
) -> tuple[dict[str, Rows], Given | None]:
    """Rows of each split, and the names by index that the label's column has of its own."""
    first = next((table for table in tables.get("train", ()) if table.columns), None)
    if first is None:
        raise empty(name, "train")
    texts = columns.resolve(first)
    rows = {split: read_rows(found, texts, columns.label, text) for split, found in tables.items()}
    for split, found in rows.items():
        if not len(found):
            raise empty(name, split)
    own = first.classes.get(columns.label)
    return rows, None if own is None else (own, f"the classes of column {columns.label!r}")


def indexed(rows: Mapping[str, Rows], labels: Labels, source: Source) -> dict[str, Split]:
    """Splits with the index of each label; without those whose labels are all withheld."""
    column, unseen, notes = source.columns.label, source.unseen, source.notes
    splits = {"train": mapped(rows["train"], "train", column, labels, None, unseen, notes)}
    trained = set(splits["train"].references)
    if idle := [name for i, name in enumerate(labels.names) if i not in trained]:
        few = ", ".join(idle[:SHOWN]) + (", ..." if len(idle) > SHOWN else "")
        notes.append(f"{len(idle)} of {len(labels.names)} labels have no training row: {few}")
    for split, found in rows.items():
        if split != "train" and all(map(labels.withholds, found.labels)):
            notes.append(f"the {split} split has no labels and was not used")
        elif split != "train":
            splits[split] = mapped(found, split, column, labels, trained, unseen, notes)
    return splits


def empty(name: str, split: str) -> MillisError:
    return MillisError(f"{name}: the {split} split is empty; it needs at least one row")


def _labels(
    rows: Mapping[str, Rows], tables: Tables, column: str, given: Given | None, unseen: Unseen, notes: list[str]
) -> Labels:
    """The labels by the names given for them, or those that occur in training rows."""
    if given is not None:
        bare = sum((found.bare for found in rows.values()), Counter[str]())
        return Labels.given(*given, bare, classes_of(tables, column))
    train = rows["train"]
    counts = Counter(label for label in train.labels if label is not None)
    if not counts:
        raise MillisError(f"{train.where(0)}: column {column!r} is empty, as in every training row; expected labels")
    refuse_other_tasks(counts, f"{train.places[0]}: column {column!r}")
    known = counts if unseen != KEEP else [name for found in rows.values() for name in found.labels if name is not None]
    labels = Labels.learned(known)
    merged: Counter[str] = Counter()
    for label, count in counts.items():
        merged[labels.names[labels.find(label) or 0]] += count
    notes += label_notes(merged, column)
    return labels
