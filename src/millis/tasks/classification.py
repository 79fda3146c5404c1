"""Text classification: one text or a pair in, one of C labels out."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from math import exp
from pathlib import Path
from typing import Annotated, Any, ClassVar, NamedTuple, TypedDict

import numpy as np
from msgspec import Meta
from numpy.typing import NDArray

from millis.data.dataset import Dataset
from millis.data.one_label import ONE_LABEL, OneLabel
from millis.metrics import named
from millis.metrics.contract import AnyMetric
from millis.models.outputs import LOGITS
from millis.tasks.contract import LEARNED, EachText, check_length, check_names, few
from millis.types import Output, Outputs

WIDE = 32  # labels from which NumPy answers sooner than Python does


class Label(NamedTuple):
    """An answer: the label's name, its index among the labels, and its softmax probability."""

    label: str
    index: int  # type: ignore[assignment]  # `tuple.index` is nobody's business here
    score: float

    @property
    def text(self) -> str:
        """`refund (0.98)`."""
        return f"{self.label} ({self.score:.2f})"

    def value(self) -> int:
        """The index."""
        return self.index


class Described(TypedDict):
    """What an artifact says of this task."""

    labels: Annotated[list[str], Meta(min_length=1)]


def read(described: Mapping[str, Any]) -> "Classification":
    """The task of an artifact.

    Raises:
        MillisError: a label that stands twice.
    """
    return Classification(labels=tuple(described["labels"]))


@dataclass(frozen=True)
class Classification(EachText):
    """What is predicted and how it is judged.

    Args:
        metric: The quality metric: models are selected, compared and reported by it.
        also: Metrics reported beside it.
        max_length: Longest token sequence; longer texts are truncated and counted. 128 tokens hold every request of
            the bundled corpus (the longest has 45); attention's cost grows with it only for texts that long.
        labels: Their names; a label's position is its index. None before the data is read.

    Raises:
        MillisError: no room for a token, or a label that stands twice.
    """

    metric: str = "accuracy"
    also: Sequence[str] = ("macro_f1",)
    max_length: int = 128
    labels: tuple[str, ...] = field(default=(), metadata=LEARNED)
    name: ClassVar[str] = "classification"
    reads_offsets: ClassVar[bool] = False

    def __post_init__(self) -> None:
        check_length(self.max_length)
        object.__setattr__(self, "also", tuple(self.also))
        check_names("labels", self.labels)

    @property
    def outputs(self) -> tuple[Output, ...]:
        """One, with a logit for each label."""
        return (Output(LOGITS, "text", len(self.labels)),)

    @property
    def summary(self) -> str:
        """How many labels, and the first of them."""
        return f"{len(self.labels)} labels ({few(self.labels)})"

    @property
    def references(self) -> OneLabel:
        """A label's index for each text."""
        return ONE_LABEL

    def learned(self, dataset: Dataset, cache: Path | None = None) -> "Classification":
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

    def answer(self, outputs: Outputs, encoding: Any) -> Label:
        """The likeliest label and its softmax probability, 1 / sum_c exp(logit_c - max)."""
        row = outputs[0][0]
        index, probability = _by_python(row) if len(self.labels) < WIDE else _by_numpy(row)
        return Label(self.labels[index], index, probability)

    def metrics(self) -> dict[str, AnyMetric]:
        """Every metric of the task, by name.

        Raises:
            MillisError: one that does not exist or cannot work with these labels.
        """
        return {name: named(name, self.labels) for name in (self.metric, *self.also)}


def _by_python(logits: NDArray[np.float32]) -> tuple[int, float]:
    """Index and probability of the likeliest of few, where a call into NumPy takes longer than the loop."""
    row = logits.tolist()
    top = max(row)
    return row.index(top), 1.0 / sum([exp(value - top) for value in row])


def _by_numpy(logits: NDArray[np.float32]) -> tuple[int, float]:
    """As `_by_python`, of many."""
    index = int(logits.argmax())
    return index, 1.0 / float(np.exp(logits - logits[index]).sum())
