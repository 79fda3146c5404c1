"""A number for each text, in the unit in which it is answered; models learn it less its mean, over its deviation."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Protocol, TypeVar

import numpy as np
from numpy.typing import NDArray

from millis.data.dataset import Split
from millis.data.labels import is_thousands, number
from millis.data.mapped import DROP
from millis.data.references import Read, Source, Unseen
from millis.data.texts import Row, rows_of
from millis.errors import MillisError
from millis.types import Text


class Placed(Protocol):
    """A row that errors can name."""

    @property
    def place(self) -> str: ...


AnyRow = TypeVar("AnyRow", bound=Placed)


@dataclass(frozen=True)
class Numbers:
    """References are numbers.

    Args:
        column: Of the numbers; None takes the data's column of labels (`data.label`).
        mean, deviation: Of training rows: what models learn is (number - mean) / deviation.
    """

    column: str | None = None
    mean: float = 0.0
    deviation: float = 1.0
    reads_offsets: ClassVar[bool] = False

    def read(self, source: Source) -> Read:
        """Numbers; see `millis.data.references.References`.

        Raises:
            MillisError: an empty split, a missing column, or a cell that holds no number and is not to be left out.
        """
        name, tables, columns, _, unseen, notes = source
        column, splits = self.column or columns.label, {}
        for split in tables:
            rows = rows_of(name, split, tables[split], columns, column)
            found = numbered(split, rows, [number_in(row, column) for row in rows], column, unseen, notes)
            if found:
                kept, values = zip(*found, strict=True)
                splits[split] = Split([row.text for row in kept], list(values))
        return Read({}, splits)

    def stratum(self, reference: float) -> None:
        """None: splits are cut at random."""

    def group(self, reference: float) -> None:
        """None: each row stands for itself."""

    def targets(
        self, texts: Sequence[Text], references: Sequence[float], encodings: Sequence[Any]
    ) -> tuple[NDArray[np.float32]]:
        """Of each text, [N]."""
        return (((np.asarray(references, np.float64) - self.mean) / self.deviation).astype(np.float32),)

    def unanswered(self, text: Text) -> float:
        """The mean."""
        return self.mean

    def answered(self, text: Text, categories: float, encoding: Any) -> float:
        """In the unit of the data."""
        return categories * self.deviation + self.mean


def numbered(
    split: str, rows: Sequence[AnyRow], values: Sequence[float | None], column: str, unseen: Unseen, notes: list[str]
) -> list[tuple[AnyRow, float]]:
    """The rows that have a number, with it; none of a split other than `train` that has no numbers.

    Raises:
        MillisError: a row without a number is not to be left out.
    """
    missing = [row for row, value in zip(rows, values, strict=True) if value is None]
    if len(missing) == len(rows) and split != "train":
        notes.append(f"the {split} split has no numbers and was not used")
        return []
    if missing and (unseen != DROP or len(missing) == len(rows)):
        raise MillisError(
            f"{missing[0].place}: column {column!r} is empty; {len(missing)} such rows. Fill them in, or "
            "leave them out with data.unseen_labels=drop"
        )
    if missing:
        notes.append(f"{len(missing)} rows of {split} left out: they have no number")
    return [(row, value) for row, value in zip(rows, values, strict=True) if value is not None]


def number_in(row: Row, column: str) -> float | None:
    """What a cell says; None where it is empty.

    Raises:
        MillisError: something else than a number.
    """
    cell = row.cell
    if cell is None or (isinstance(cell, str) and not cell.strip()):
        return None
    if isinstance(cell, bool) or not isinstance(cell, int | float | str):
        raise MillisError(f"{row.place}: column {column!r} holds {cell!r}; expected a number")
    if isinstance(cell, str) and is_thousands(cell.strip()):
        raise MillisError(
            f"{row.place}: column {column!r} holds {cell!r}, which may be a thousand or a number with decimals: write "
            "it without a comma"
        )
    value = number(cell.strip()) if isinstance(cell, str) else float(cell)
    if isinstance(cell, str) and value is None:
        raise MillisError(f"{row.place}: column {column!r} holds {cell!r}; expected a number, such as 0.25")
    return None if value is None or not math.isfinite(value) else value
