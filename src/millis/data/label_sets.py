"""Several labels a text, or none: a column of lists, or of names between separators, becomes sets of indices."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from millis.data.cells import EMPTY, CellError, label_of, listed
from millis.data.dataset import Split
from millis.data.labels import Labels
from millis.data.one_label import LABEL, LABEL_NAMES
from millis.data.references import Read, Source, TextsAlone, Unseen
from millis.data.suspicions import JOINTS, label_notes
from millis.data.texts import Row, rows_of
from millis.errors import MillisError
from millis.types import Text

SHOWN = 3  # labels in a note


@dataclass(frozen=True)
class LabelSets(TextsAlone):
    """References are tuples of indices of labels, ascending.

    Args:
        column: Of the labels.
        separator: Between the names in a cell; None finds out which of `|`, `;` and `,` the training rows have.
        width: Labels there are; None before the data is read.
    """

    column: str = "labels"
    separator: str | None = None
    width: int | None = None
    reads_offsets: ClassVar[bool] = False

    def read(self, source: Source) -> Read:
        """Names and indices; see `millis.data.references.References`.

        A text without labels has none of them; a split in which no text has any counts as missing. Labels that no
        training row has are known, so that they count as mistakes, where `labels.txt` names them or `unseen` is keep.

        Raises:
            MillisError: an empty split, a missing column, a cell that holds no labels, or an unseen label.
        """
        name, tables, columns, given, unseen, notes = source
        found = {split: rows_of(name, split, tables[split], columns, self.column) for split in tables}
        separator = self.separator or _separator(row.cell for row in found["train"])
        sets = {split: [_names(row, self.column, separator) for row in rows] for split, rows in found.items()}
        counts = {split: Counter(label for one in rows for label in one) for split, rows in sets.items()}
        if not counts["train"]:
            raise MillisError(f"{found['train'][0].place}: column {self.column!r} is empty, as in every training row")
        if separator is not None and self.separator is None:
            notes.append(f"labels in column {self.column!r} are divided at {separator!r} (task.separator)")
        every = counts["train"] if unseen != "keep" else sum(counts.values(), Counter[str]())
        notes += label_notes(counts["train"], self.column)
        labels = Labels.learned(every) if given is None else Labels.given(given, LABEL_NAMES, every, [])
        splits = {}
        for split, rows in found.items():
            if split != "train" and not counts[split]:
                notes.append(f"the {split} split has no labels and was not used")
                continue
            splits[split] = self._indexed(split, rows, sets[split], labels, unseen, notes)
        return Read({LABEL: labels.names}, splits)

    def _indexed(
        self,
        split: str,
        rows: Sequence[Row],
        sets: Sequence[list[str]],
        labels: Labels,
        unseen: Unseen,
        notes: list[str],
    ) -> Split:
        """The split with the indices of each row's labels; rows with unknown ones are refused or left out."""
        index = {name: labels.find(name) for one in sets for name in one}
        strange = [row for row, one in zip(rows, sets, strict=True) if any(index[name] is None for name in one)]
        if strange and unseen != "drop":
            unknown = next(name for one in sets for name in one if index[name] is None)
            raise MillisError(
                f"{strange[0].place}: label {unknown!r} {self._unknown(labels)}; {len(strange)} such rows. Mend them, "
                "or leave them out with data.unseen_labels=drop"
            )
        if strange:
            notes.append(f"{len(strange)} rows of {split} left out: their labels do not occur in training")
        kept = [
            (row.text, tuple(sorted({index[name] or 0 for name in one})))
            for row, one in zip(rows, sets, strict=True)
            if all(index[name] is not None for name in one)
        ]
        return Split([text for text, _ in kept], [indices for _, indices in kept])

    @staticmethod
    def _unknown(labels: Labels) -> str:
        """Why a label has no index."""
        if labels.origin is not None:
            return f"is none of the {len(labels.names)} names of {labels.origin}"
        return "does not occur in training (data.unseen_labels=keep counts it as a mistake)"

    def stratum(self, reference: tuple[int, ...]) -> int:
        """The first label; -1 of a text that has none."""
        return reference[0] if reference else -1

    def group(self, reference: tuple[int, ...]) -> None:
        """None: each row stands for itself."""

    def targets(
        self, texts: Sequence[Text], references: Sequence[tuple[int, ...]], encodings: Sequence[Any]
    ) -> tuple[NDArray[np.bool_]]:
        """Which labels each text has, [N, C]."""
        assert self.width is not None, "a task that learned its labels has said how many there are"
        targets = np.zeros((len(references), self.width), np.bool_)
        for row, indices in zip(targets, references, strict=True):
            row[list(indices)] = True
        return (targets,)

    def unanswered(self, text: Text) -> tuple[int, ...]:
        """No label."""
        return ()

    def answered(self, text: Text, categories: tuple[int, ...], encoding: Any) -> tuple[int, ...]:
        """The labels that the text has."""
        return categories


def _separator(cells: Any) -> str | None:
    """What divides the names in cells of text: the first of `JOINTS` that one of them has; None where none does."""
    texts = [cell for cell in cells if isinstance(cell, str)]
    return next(
        (joint for joint in JOINTS if any(joint in text for text in texts if listed(text.strip()) is None)), None
    )


def _names(row: Row, column: str, separator: str | None) -> list[str]:
    """The names of a row's labels, each once.

    Raises:
        MillisError: a cell that holds none; its place is named.
    """
    cell = row.cell
    if isinstance(cell, str):
        written = [] if cell.strip() in EMPTY else cell.split(separator) if separator else [cell]
        cell = written if (found := listed(cell.strip())) is None else found
    cells = [] if cell is None else list(cell) if isinstance(cell, list | tuple | set) else [cell]
    try:
        names = [label_of(one, column, row.classes) for one in cells]
    except CellError as error:
        raise MillisError(f"{row.place}: {error}") from error
    return list(dict.fromkeys(name for name in names if name is not None))
