"""What a metric is: a sum over items, then a function of the sum.

    statistics(answers, references)    [N, K]: one row an item, and rows add up
    value(sums)                        [..., K] → [...]

A split's quality is `value(statistics.sum(axis=0))`, that of a resample `value(counts @ statistics)`, where an item
that was drawn twice counts twice: so one function serves reports, intervals, ties and effects, and no metric knows of
resampling. Accuracy sums (right, 1) and divides; macro F1 sums (right, predicted or true) of each class.

A metric is a frozen dataclass in a file of its name, whose fields are what it must know of the labels: numbers and
texts, for records carry them (`millis.record.Judged`).

What an item is depends on the task: the index of a label, those of several in a tuple, a number, a tuple with the
index of each word's tag, a tuple of a label and such a tuple, a tuple with the score (and relevance) of each of a
query's candidates, or a text, where what is right may be several texts in a tuple. A metric says which of these it
judges.

Axes here: N items, K statistics, R resamples.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Protocol, Self, TypeAlias, runtime_checkable

import numpy as np
from numpy.typing import NDArray

from millis.errors import MillisError
from millis.metrics._labels import LABEL, Kind, checked
from millis.units import Better

PART = 512  # items whose statistics are held at a time: of 151 classes 1.2 MB, which stays in a cache


Items: TypeAlias = NDArray[Any]
"""[N] integers or numbers, or [N] objects: texts, or tuples of texts, integers, numbers, an integer and a tuple."""


class Metric(Protocol):
    """How answers are judged."""

    better: ClassVar[Better]
    unit: ClassVar[str]
    judges: ClassVar[tuple[Kind, ...]]

    @classmethod
    def of(cls, labels: Sequence[str]) -> Self:
        """The metric over `labels` (or tags), a label's position being its index.

        Raises:
            MillisError: they lack what it needs. It is called before anything is trained.
        """
        ...

    def statistics(self, answers: Items, references: Items) -> NDArray[np.float64]:
        """Of each item, [N, K]; K is the metric's own.

        Args:
            answers: What was answered, [N].
            references: What is right, [N].
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
    judges: ClassVar[tuple[Kind, ...]] = LABEL
    unit: ClassVar[str] = ""  # its own, which is not known

    def weighted(
        self, answers: NDArray[np.int64], references: NDArray[np.int64], counts: NDArray[np.float64]
    ) -> NDArray[np.float64]:
        """As the function `weighted`: resample by resample, each as the list of what was drawn."""
        return one_by_one(self.compute, answers, references, counts)


def one_by_one(
    compute: Callable[[Items, Items], float], answers: Items, references: Items, counts: NDArray[np.float64]
) -> NDArray[np.float64]:
    """`compute` of each resample as the list of what was drawn, [R]; arguments as for `weighted`."""
    drawn = (np.repeat(np.arange(len(answers)), row) for row in counts.astype(np.int64))
    return np.array([compute(answers[items], references[items]) for items in drawn])


@runtime_checkable
class Whole(Protocol):
    """A metric that is not a function of sums over items."""

    better: ClassVar[Better]
    unit: ClassVar[str]
    judges: ClassVar[tuple[Kind, ...]]

    def weighted(self, answers: Items, references: Items, counts: NDArray[np.float64]) -> NDArray[np.float64]:
        """As the function `weighted`."""
        ...


AnyMetric: TypeAlias = Metric | Whole


def items(values: Sequence[Any] | Items) -> Items:
    """Values of answers as metrics read them, [N]: indices of labels as integers, others as texts or tuples.

    Raises:
        MillisError: some are texts or lists, and others are not.
    """
    if isinstance(values, np.ndarray):
        return values
    objects = [isinstance(value, str | list | tuple) for value in values]
    if not any(objects):
        return np.asarray(values)
    if not all(objects):
        odd = values[objects.index(not objects[0])]
        raise MillisError(f"got answers of two kinds, such as {values[0]!r} and {odd!r}: expected one for all items")
    found = np.empty(len(values), object)
    found[:] = [_frozen(value) for value in values]
    return found


def matched(answers: Sequence[Any] | Items, references: Sequence[Any] | Items) -> tuple[Items, Items]:
    """Both as `items`.

    Raises:
        MillisError: empty, of unequal lengths, or one of labels and the other of something else.
    """
    ours, actual = items(answers), items(references)
    kinds = {ours.dtype.kind, actual.dtype.kind}
    if "f" in kinds and kinds <= {"f", "i", "u"} and len(ours) == len(actual) and ours.ndim == 1:
        return _finite("answers", ours), _finite("references", actual)
    if object not in (ours.dtype, actual.dtype):
        return checked(ours, actual)
    if ours.dtype != actual.dtype or len(ours) != len(actual):
        raise MillisError(
            f"got {len(ours)} answers for {len(actual)} references, such as {ours[:1]} and {actual[:1]}; expected as "
            "many of one as of the other, of one kind. Answer every text of the split, in order"
        )
    return ours, actual


def _finite(what: str, values: Items) -> Items:
    if not np.isfinite(values).all():
        raise MillisError(f"got {what} that are no finite numbers: the model diverged, or the data is damaged")
    return values.astype(np.float64)


def _frozen(value: Any) -> Any:
    return tuple(map(_frozen, value)) if isinstance(value, list | tuple) else value


def weighted(metric: AnyMetric, answers: Items, references: Items, counts: NDArray[np.float64]) -> NDArray[np.float64]:
    """The metric where every item counts so many times, [R].

    Args:
        answers: What was answered, [N].
        references: What is right, [N].
        counts: How often each item was drawn, [R, N].
    """
    if isinstance(metric, Whole):
        return metric.weighted(answers, references, counts)
    parts = [slice(start, start + PART) for start in range(0, len(answers), PART)]
    sums = np.zeros((len(counts), metric.statistics(answers[:0], references[:0]).shape[1]))
    for part in parts:
        statistics = metric.statistics(answers[part], references[part])
        columns = statistics.any(axis=0)  # of many classes a part has few: over 5,000 it takes half the time
        sums[:, columns] += counts[:, part] @ statistics[:, columns]
    return metric.value(sums)


def plain(metric: AnyMetric, answers: Items, references: Items) -> float:
    """The metric where every item counts once."""
    return float(weighted(metric, answers, references, np.ones((1, len(answers))))[0])
