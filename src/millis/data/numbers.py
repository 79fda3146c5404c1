"""A number for each text, in the unit in which it is answered; models learn it less its mean, over its deviation."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from millis.data.dataset import Split
from millis.data.labels import is_thousands, number
from millis.data.references import Read, Source, TextsAlone
from millis.data.texts import Row, answered, rows_of
from millis.errors import MillisError
from millis.types import Text

NUMBERS = ("number", "numbers")  # one answer, several


@dataclass(frozen=True)
class Numbers(TextsAlone):
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
            found = answered(split, rows, [number_in(row, column) for row in rows], column, NUMBERS, unseen, notes)
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
