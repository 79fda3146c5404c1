"""Splits that are stored under names: what files and the Hub share."""

from dataclasses import dataclass

from millis.data.columns import Columns
from millis.data.references import Unseen


@dataclass(frozen=True, kw_only=True)
class Stored:
    """Where splits and columns are.

    Args:
        name: How runs on it are named; empty takes that of the place.
        text, text_pair, label: Columns; None finds the usual names (`text`, or `text_a` and `text_b`, ...).
        train, validation, test: Each split's name there. `validation: null` cuts one row in ten from train, `test:
            null` judges by validation and cuts another validation from train.
        unseen_labels: `error`; `drop` rows without a label, and rows whose label no training row has; `keep` these.
        limit: At most this many rows a split.
        unlabelled: File or folder of texts without labels, for students to learn from as the teacher answers them.
    """

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

    @property
    def columns(self) -> Columns:
        """What is read."""
        return Columns(self.text, self.text_pair, self.label)

    @property
    def stems(self) -> dict[str, str | None]:
        """What each split is called."""
        return {"train": self.train, "validation": self.validation, "test": self.test}
