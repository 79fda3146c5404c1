"""Regression: one text or a pair in, a number out."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Annotated, Any, ClassVar, NamedTuple, TypedDict

import numpy as np
from msgspec import Meta

from millis.data.dataset import Dataset
from millis.data.numbers import Numbers
from millis.errors import MillisError
from millis.metrics import named
from millis.metrics.contract import AnyMetric
from millis.tasks.contract import LEARNED, EachText, Numeric, check_length
from millis.types import Output, Outputs


class Number(NamedTuple):
    """An answer, in the unit of the data."""

    number: float

    @property
    def text(self) -> str:
        """Three digits of it."""
        return f"{self.number:.3g}"

    def value(self) -> float:
        """The number."""
        return self.number


class Described(TypedDict):
    """What an artifact says of this task."""

    mean: float
    deviation: Annotated[float, Meta(gt=0)]


def read(described: Mapping[str, Any]) -> "Regression":
    """The task of an artifact."""
    return Regression(mean=described["mean"], deviation=described["deviation"])


@dataclass(frozen=True)
class Regression(Numeric, EachText):
    """What is predicted and how it is judged.

    Args:
        column: Of the data: the numbers; None is `data.label`.
        metric: The quality metric: models are selected, compared and reported by it.
        also: Metrics reported beside it.
        max_length: Longest token sequence; longer texts are truncated and counted.
        mean, deviation: Of the training rows' numbers; models learn (number - mean) / deviation.

    Raises:
        MillisError: no room for a token.
    """

    column: str | None = None
    metric: str = "pearson"
    also: Sequence[str] = ("spearman", "rmse")
    max_length: int = 128
    mean: float = field(default=0.0, metadata=LEARNED)
    deviation: float = field(default=1.0, metadata=LEARNED)
    name: ClassVar[str] = "regression"
    reads_offsets: ClassVar[bool] = False

    def __post_init__(self) -> None:
        check_length(self.max_length)
        object.__setattr__(self, "also", tuple(self.also))

    @property
    def outputs(self) -> tuple[Output, ...]:
        """One number."""
        return (Output("number", "text", 1, "value"),)

    @property
    def summary(self) -> str:
        """A number, and where it usually lies."""
        return f"a number ({self.mean:.3g} ± {self.deviation:.3g})"

    @property
    def references(self) -> Numbers:
        """The numbers."""
        return Numbers(self.column, self.mean, self.deviation)

    def learned(self, dataset: Dataset, cache: Path | None = None) -> "Regression":
        """With mean and deviation of training rows.

        Raises:
            MillisError: all numbers are the same, or a metric does not exist.
        """
        numbers = np.asarray(dataset.train.references, np.float64)
        if numbers.min() == numbers.max():
            raise MillisError(f"{dataset.name}: every training row has the number {numbers[0]:g}: expected several")
        found = replace(self, mean=float(numbers.mean()), deviation=float(numbers.std()))
        found.metrics()
        return found

    def described(self) -> dict[str, Any]:
        """What turns a model's output into a number."""
        return {"name": self.name, "mean": self.mean, "deviation": self.deviation}

    @property
    def identity(self) -> dict[str, Any]:
        """Numbers are numbers, whatever rows a model learned their scale from."""
        return {"name": self.name}

    def answer(self, outputs: Outputs, encoding: Any) -> Number:
        """The output in the unit of the data."""
        return Number(float(outputs[0][0, 0]) * self.deviation + self.mean)

    def metrics(self) -> dict[str, AnyMetric]:
        """Every metric of the task, by name.

        Raises:
            MillisError: one that does not exist or judges something else.
        """
        return {name: named(name, (), "number") for name in (self.metric, *self.also)}
