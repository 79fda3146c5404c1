"""Text classification: one text or a pair in, one of C labels out."""

from collections.abc import Sequence
from typing import NamedTuple

from millis.data.dataset import Dataset
from millis.errors import MillisError
from millis.metrics import judged, named, score
from millis.metrics.bootstrap import interval
from millis.metrics.contract import AnyMetric
from millis.record import Judged


class Judgement(NamedTuple):
    """What a task's metrics say of answers, each under its name: what a record holds of them.

    Args:
        values: In each metric's unit.
        intervals: 95 % bootstrap over the texts.
        judged: How they read, and what they know of the labels.
    """

    values: dict[str, float]
    intervals: dict[str, tuple[float, float]]
    judged: dict[str, Judged]


class Classification:
    """What is predicted and how it is judged.

    Args:
        metric: The quality metric: models are selected, compared and reported by it.
        also: Metrics reported beside it.
        max_length: Longest token sequence; longer texts are truncated and counted. 128 tokens hold every request of
            the bundled corpus (the longest has 45); attention's cost grows with it only for texts that long.
    """

    def __init__(self, metric: str = "accuracy", also: Sequence[str] = ("macro_f1",), max_length: int = 128) -> None:
        if max_length < 3:
            raise MillisError(f"task.max_length={max_length}: expected at least 3 (a token between two special ones)")
        self.metric, self.also, self.max_length = metric, tuple(also), max_length

    @staticmethod
    def inputs(dataset: Dataset) -> tuple[str, ...]:
        """Names of the model's inputs; token types only tell the two texts of a pair apart."""
        return ("input_ids", "attention_mask", "token_type_ids") if dataset.pairs else ("input_ids", "attention_mask")

    def metrics(self, labels: Sequence[str]) -> dict[str, AnyMetric]:
        """Every metric of the task, by name.

        Raises:
            MillisError: one that does not exist or cannot work with these labels.
        """
        return {name: named(name, labels) for name in (self.metric, *self.also)}

    def scores(self, predictions: Sequence[int], references: Sequence[int], labels: Sequence[str]) -> dict[str, float]:
        """Every metric's value, by name."""
        return {name: score(name, predictions, references, labels) for name in (self.metric, *self.also)}

    def judge(self, predictions: Sequence[int], references: Sequence[int], labels: Sequence[str]) -> Judgement:
        """Every metric's value, interval and reading."""
        metrics = self.metrics(labels)
        intervals = {name: interval(metric, predictions, references) for name, metric in metrics.items()}
        return Judgement(self.scores(predictions, references, labels), intervals, judged(metrics, labels))
