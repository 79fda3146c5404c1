"""Several labels a text: one text or a pair in, those of C labels out that it has, maybe none."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Annotated, Any, ClassVar, NamedTuple, TypedDict

import numpy as np
from msgspec import Meta

from millis.data.dataset import Dataset
from millis.data.label_sets import LabelSets
from millis.metrics import named
from millis.metrics.contract import AnyMetric
from millis.tasks.contract import LEARNED, EachText, check_length, check_names, few
from millis.types import Output, Outputs


class LabelSet(NamedTuple):
    """An answer.

    Args:
        labels: Those that the text has, by their index.
        scores: The probability of each of these, a sigmoid's.
        indices: Of the labels.
    """

    labels: tuple[str, ...]
    scores: tuple[float, ...]
    indices: tuple[int, ...]

    @property
    def text(self) -> str:
        """`drama (0.93), war (0.71)`."""
        pairs = zip(self.labels, self.scores, strict=True)
        return ", ".join(f"{label} ({score:.2f})" for label, score in pairs) or "no label"

    def value(self) -> tuple[int, ...]:
        """The indices, ascending."""
        return self.indices


class Described(TypedDict):
    """What an artifact says of this task."""

    labels: Annotated[list[str], Meta(min_length=1)]


def read(described: Mapping[str, Any]) -> "MultiLabel":
    """The task of an artifact.

    Raises:
        MillisError: a label that stands twice.
    """
    return MultiLabel(labels=tuple(described["labels"]))


@dataclass(frozen=True)
class MultiLabel(EachText):
    """What is predicted and how it is judged. A label is answered where its probability is above one half.

    Args:
        column: Of the data: a list of labels, or names between separators.
        separator: Between names; None finds out which of `|`, `;` and `,` the training rows have.
        metric: The quality metric: models are selected, compared and reported by it.
        also: Metrics reported beside it; `exact_match` is subset accuracy.
        max_length: Longest token sequence; longer texts are truncated and counted.
        labels: Their names; a label's position is its index. None before the data is read.

    Raises:
        MillisError: no room for a token, or a label that stands twice.
    """

    column: str = "labels"
    separator: str | None = None
    metric: str = "micro_f1"
    also: Sequence[str] = ("macro_f1", "exact_match")
    max_length: int = 128
    labels: tuple[str, ...] = field(default=(), metadata=LEARNED)
    name: ClassVar[str] = "multi_label"
    reads_offsets: ClassVar[bool] = False

    def __post_init__(self) -> None:
        check_length(self.max_length)
        object.__setattr__(self, "also", tuple(self.also))
        check_names("labels", self.labels)

    @property
    def outputs(self) -> tuple[Output, ...]:
        """One, with a logit for each label."""
        return (Output("labels", "text", len(self.labels), "each"),)

    @property
    def summary(self) -> str:
        """Of how many labels, and the first of them."""
        return f"several of {len(self.labels)} labels ({few(self.labels)})"

    @property
    def references(self) -> LabelSets:
        """The indices of each text's labels."""
        return LabelSets(self.column, self.separator, len(self.labels) or None)

    def learned(self, dataset: Dataset, cache: Path | None = None) -> "MultiLabel":
        """Over the labels of `dataset`.

        Raises:
            MillisError: a metric does not exist or cannot work with these labels.
        """
        found = replace(self, labels=dataset.labels)
        found.metrics()
        return found

    def described(self) -> dict[str, Any]:
        """The labels."""
        return {"name": self.name, "labels": list(self.labels)}

    @property
    def identity(self) -> dict[str, Any]:
        """All of it."""
        return self.described()

    def answer(self, outputs: Outputs, encoding: Any) -> LabelSet:
        """The labels whose logit is above 0."""
        row = outputs[0][0]
        indices = tuple(np.flatnonzero(row > 0).tolist())
        scores = tuple([1 / (1 + float(np.exp(-row[index]))) for index in indices])
        return LabelSet(tuple([self.labels[index] for index in indices]), scores, indices)

    def metrics(self) -> dict[str, AnyMetric]:
        """Every metric of the task, by name.

        Raises:
            MillisError: one that does not exist or cannot work with these labels.
        """
        return {name: named(name, self.labels, "labels") for name in (self.metric, *self.also)}
