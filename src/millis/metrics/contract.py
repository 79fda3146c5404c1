"""What a metric is: a sum over items, then a function of the sum.

    statistics(answers, references)    [N, K]: one row an item, and rows add up
    value(sums)                        [..., K] → [...]

A split's quality is `value(statistics.sum(axis=0))`, that of a resample `value(counts @ statistics)`, where an item
that was drawn twice counts twice: so one function serves reports, intervals, ties and effects, and no metric knows of
resampling. Accuracy sums (right, 1) and divides; macro F1 sums (right, predicted or true) of each class.

A metric is a frozen dataclass in a file of its name, whose fields are what it must know of the labels: numbers and
texts, for records carry them (`millis.record.Judged`).

Axes here: N items, K statistics, R resamples.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import ClassVar, Protocol, Self, TypeAlias

import numpy as np
from numpy.typing import NDArray

from millis.units import Better

PART = 512  # items whose statistics are held at a time: of 151 classes 1.2 MB, which stays in a cache


class Metric(Protocol):
    """How answers are judged."""

    better: ClassVar[Better]
    unit: ClassVar[str]

    @classmethod
    def of(cls, labels: Sequence[str]) -> Self:
        """The metric over `labels`, a label's position being its index.

        Raises:
            MillisError: they lack what it needs. It is called before anything is trained.
        """
        ...

    def statistics(self, answers: NDArray[np.int64], references: NDArray[np.int64]) -> NDArray[np.float64]:
        """Of each item, [N, K]; K is the metric's own.

        Args:
            answers: Predicted label indices, [N].
            references: True label indices, [N].
        """
        ...

    def value(self, sums: NDArray[np.float64]) -> NDArray[np.float64]:
        """The metric from sums of statistics, [..., K] → [...]; nan where it is undefined."""
        ...


@dataclass(frozen=True)
class Foreign:
    """A metric of another library, of which nothing is known but its value on a list of items.

    Args:
        compute: Answers and references, [N] → the value.
    """

    compute: Callable[[NDArray[np.int64], NDArray[np.int64]], float]
    better: ClassVar[Better] = "higher"
    unit: ClassVar[str] = ""  # its own, which is not known

    def weighted(
        self, answers: NDArray[np.int64], references: NDArray[np.int64], counts: NDArray[np.float64]
    ) -> NDArray[np.float64]:
        """As the function `weighted`: resample by resample, each as the list of what was drawn."""
        drawn = (np.repeat(np.arange(len(answers)), row) for row in counts.astype(np.int64))
        return np.array([self.compute(answers[items], references[items]) for items in drawn])


AnyMetric: TypeAlias = Metric | Foreign


def weighted(
    metric: AnyMetric, answers: NDArray[np.int64], references: NDArray[np.int64], counts: NDArray[np.float64]
) -> NDArray[np.float64]:
    """The metric where every item counts so many times, [R].

    Args:
        answers: Predicted label indices, [N].
        references: True label indices, [N].
        counts: How often each item was drawn, [R, N].
    """
    if isinstance(metric, Foreign):
        return metric.weighted(answers, references, counts)
    parts = [slice(start, start + PART) for start in range(0, len(answers), PART)]
    sums = np.zeros((len(counts), metric.statistics(answers[:0], references[:0]).shape[1]))
    for part in parts:
        statistics = metric.statistics(answers[part], references[part])
        columns = statistics.any(axis=0)  # of many classes a part has few: over 5,000 it takes half the time
        sums[:, columns] += counts[:, part] @ statistics[:, columns]
    return metric.value(sums)


def plain(metric: AnyMetric, answers: NDArray[np.int64], references: NDArray[np.int64]) -> float:
    """The metric where every item counts once."""
    return float(weighted(metric, answers, references, np.ones((1, len(answers))))[0])
