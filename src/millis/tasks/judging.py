"""What a task's metrics say of answers."""

from collections.abc import Sequence
from typing import Any, NamedTuple

from millis.metrics import judged, value
from millis.metrics.bootstrap import interval
from millis.record import Judged
from millis.tasks.contract import Task


class Judgement(NamedTuple):
    """What metrics say, each under its name, and of what: what a record holds of it.

    Args:
        values: In each metric's unit.
        intervals: 95 % bootstrap over the items.
        judged: How they read, and what they know of the labels.
        answers: Of each item that is judged (`millis.tasks.contract.Task.items`).
        references: What is right, alike.
    """

    values: dict[str, float]
    intervals: dict[str, tuple[float, float]]
    judged: dict[str, Judged]
    answers: list[Any]
    references: list[Any]


def scores(task: Task, answers: Sequence[Any], references: Sequence[Any]) -> dict[str, float]:
    """Every metric's value, by name.

    Args:
        answers: Their values (`millis.tasks.contract.Answer.value`) to the texts of a split, [N].
        references: Of the split, [N].

    Raises:
        MillisError: none, more of one than of the other, or a metric is undefined on these references.
    """
    return item_scores(task, *task.items(answers, references, references))


def item_scores(task: Task, answers: Sequence[Any], references: Sequence[Any]) -> dict[str, float]:
    """As `scores`, of items."""
    return {name: value(name, metric, answers, references) for name, metric in task.metrics().items()}


def judge(task: Task, answers: Sequence[Any], references: Sequence[Any]) -> Judgement:
    """Every metric's value, interval and reading; arguments and errors as for `scores`."""
    found, right = task.items(answers, references, references)
    metrics = task.metrics()
    intervals = {name: interval(metric, found, right) for name, metric in metrics.items()}
    return Judgement(item_scores(task, found, right), intervals, judged(metrics), list(found), list(right))
