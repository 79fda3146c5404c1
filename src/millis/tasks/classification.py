"""Text classification: one text or a pair in, one of C labels out."""

from collections.abc import Sequence

from millis.data.dataset import Dataset
from millis.errors import MillisError
from millis.metrics import score


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

    def scores(self, predictions: Sequence[int], references: Sequence[int], labels: Sequence[str]) -> dict[str, float]:
        """Every metric of the task, in percent, by name."""
        return {name: score(name, predictions, references, labels) for name in (self.metric, *self.also)}
