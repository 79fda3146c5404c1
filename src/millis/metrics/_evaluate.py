"""The bridge to Hugging Face `evaluate`: shipped metrics as its objects, and its own metrics where the Hub is in reach.

The library's wheel holds no metrics: `evaluate.load("accuracy")` downloads a script. The shipped ones need no network.
"""

import inspect
from collections.abc import Callable, Sequence
from functools import lru_cache
from importlib import import_module
from typing import Any

import datasets
import evaluate
import numpy as np
from numpy.typing import ArrayLike, NDArray

from millis.errors import MillisError, nearest
from millis.metrics._labels import checked
from millis.metrics.contract import Foreign, Metric

Score = Callable[[str, ArrayLike, ArrayLike, Sequence[str]], float]
"""`millis.metrics.score`."""


class Shipped(evaluate.Metric):  # type: ignore[misc]
    """A shipped metric as an `evaluate.Metric`: `compute(predictions=[N], references=[N])` → `{name: percentage}`.

    Predictions stay in memory: by default the library keeps them in one file a metric under the user's cache folder,
    where every process that evaluates waits for its lock. `compute` still copies them through Arrow, about 10 ms for
    5,000 items; where that matters call `millis.metrics.score`, which is the same function.
    """

    def __init__(self, name: str, labels: Sequence[str], kind: type[Metric], score: Score, **options: Any):
        self._name, self._labels, self._kind, self._score = name, labels, kind, score
        super().__init__(**{"keep_in_memory": True, **options})

    @property
    def name(self) -> str:
        """The name of the metric and of its key in what `compute` returns."""
        return self._name

    def _info(self) -> evaluate.MetricInfo:
        module = import_module(f"millis.metrics.{self._name}")
        return evaluate.MetricInfo(
            description=inspect.getdoc(module) or "",
            inputs_description=inspect.getdoc(self._kind) or "",
            citation="",
            features=datasets.Features({"predictions": datasets.Value("int64"), "references": datasets.Value("int64")}),
        )

    def add_batch(self, *, predictions: Any = None, references: Any = None, **unknown: Any) -> None:
        """Check the batch as `millis.metrics.score` does, then let the library store it."""
        predictions, references = checked(predictions, references, self._labels)
        super().add_batch(predictions=predictions, references=references, **unknown)

    def _compute(self, predictions: Sequence[int], references: Sequence[int]) -> dict[str, float]:
        return {self._name: self._score(self._name, predictions, references, self._labels)}


def load(name: str, shipped: Sequence[str], **options: Any) -> evaluate.Metric:
    """A metric that is not among the `shipped` ones: `evaluate.load`, with an error that says what to do.

    Raises:
        MillisError: the metric is not there, not in reach, or needs a package that is not installed.
    """
    try:
        return evaluate.load(name, **options)
    # The library, the Hub's client and a metric's own script raise a dozen unrelated kinds here.
    except Exception as error:
        reason = (str(error) or type(error).__name__).splitlines()[0]
        raise MillisError(
            f"cannot load the metric {name!r} ({reason}); expected one that ships with millis ({', '.join(shipped)})"
            f"{nearest(name, shipped)}. Other names are fetched from the Hugging Face Hub: to use one, run once with "
            "network access, or give the path of a folder with the metric's script"
        ) from error


@lru_cache(maxsize=8)
def foreign(name: str, shipped: tuple[str, ...]) -> Foreign:
    """The metric as a number: the value under its own name, or the only value it gives; its own unit."""
    metric = load(name, shipped)

    def compute(answers: NDArray[np.int64], references: NDArray[np.int64]) -> float:
        values = metric.compute(predictions=answers, references=references)
        if metric.name not in values and len(values) != 1:
            raise MillisError(
                f"the metric {name!r} gives {len(values)} values ({', '.join(values)}); expected one, or one named "
                f"{metric.name!r}. Choose a metric with a single value"
            )
        return float(values.get(metric.name, next(iter(values.values()))))

    return Foreign(compute)
