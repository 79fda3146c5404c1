"""What every stage starts from: the data set and the task."""

import json
from collections.abc import Hashable
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any, cast

from millis.data.dataset import Dataset
from millis.data.references import References
from millis.described import described
from millis.metrics.contract import AnyMetric
from millis.tasks.contract import Task
from millis.tasks.judging import item_scores
from millis.units import SIGN


@dataclass(frozen=True)
class Inputs:
    """The data and what is predicted from it.

    Args:
        cache: Folder under which every stage keeps its outputs.
    """

    dataset: Dataset
    task: Task
    data_fingerprint: str
    cache: Path

    @property
    def metric(self) -> AnyMetric:
        """What models are judged by."""
        return self.task.metrics()[self.task.metric]

    def score(self, predictions: Any, references: Any) -> float:
        """The task's metric of items, negated where lower is better: whatever selects models takes the largest.

        All of the task's metrics are taken, so that one that is undefined on this split is refused in the first epoch.
        """
        values = item_scores(self.task, predictions, references)
        return SIGN[self.metric.better] * values[self.task.metric]

    def metric_of(self, score: float) -> float | None:
        """The task's metric of a validation score; None where training is judged by something else."""
        return None if self.task.judged_as_written else SIGN[self.metric.better] * score

    def validation_score(self, answers: Any, targets: Any) -> float:
        """As `score`, of a model's answers to the whole validation split.

        Args:
            answers: In the split's order, as `millis.data.positions.answers` has them, [N].
            targets: What is learned of each, alike, [N].
        """
        if self.task.judged_as_written:
            return float(cast(Any, self.task).while_training(answers))
        return self.score(*self.task.items(answers, targets, self.dataset.validation.references))


def read_inputs(data: Any, task: Task, cache: Path) -> Inputs:
    """Read the data and make the task of it; read once a process.

    Args:
        data: A source (`millis.data`).
        task: As configured.
        cache: See `Inputs`.

    Raises:
        MillisError: a metric of the task cannot work with the data's labels.
    """
    dataset, data_fingerprint = _read(_Source(data, json.dumps(described(data), sort_keys=True)), task.references)
    return Inputs(dataset, task.learned(dataset, cache.absolute()), data_fingerprint, cache.absolute())


class _Source(Hashable):
    """A source that is known by what it is made of."""

    def __init__(self, source: Any, key: str) -> None:
        self.source, self.key = source, key

    def __hash__(self) -> int:
        return hash(self.key)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _Source) and self.key == other.key


@lru_cache(maxsize=2)
def _read(source: _Source, references: References) -> tuple[Dataset, str]:
    dataset: Dataset = source.source(references)
    return dataset, dataset.fingerprint
