"""Ranking: a query's candidates, one text or a pair each, scored one by one; the order of the scores is the answer.

A cross-encoder with a pointwise loss (Nogueira and Cho 2019, 1901.04085, with squared error in place of its
cross-entropy, so that grades and click rates are learned like yes and no).
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Annotated, Any, ClassVar, NamedTuple, TypedDict

import numpy as np
from msgspec import Meta

from millis.data.candidates import Candidates
from millis.data.dataset import Dataset
from millis.data.references import together
from millis.errors import MillisError
from millis.metrics import named
from millis.metrics.contract import AnyMetric
from millis.tasks.contract import LEARNED, InManifest, InOnePass, Numeric, check_length
from millis.tasks.judging import item_scores
from millis.types import Output, Outputs


class Score(NamedTuple):
    """An answer: how much more relevant the candidate is than its query's mean, in the unit of the data."""

    score: float

    @property
    def text(self) -> str:
        """Three digits of it."""
        return f"{self.score:.3g}"

    def value(self) -> float:
        """The score."""
        return self.score


class Described(TypedDict):
    """What an artifact says of this task."""

    deviation: Annotated[float, Meta(gt=0)]


def read(described: Mapping[str, Any]) -> "Ranking":
    """The task of an artifact."""
    return Ranking(deviation=described["deviation"])


@dataclass(frozen=True)
class Ranking(Numeric, InManifest, InOnePass):
    """What is predicted and how it is judged: a query at a time, by the order of its candidates' scores.

    Args:
        column: Of the data: how relevant a row is to its query; None is `data.label`.
        query: The column that names each row's query; None takes the first text of a pair.
        metric: The quality metric: models are selected, compared and reported by it.
        also: Metrics reported beside it.
        max_length: Longest token sequence; longer texts are truncated and counted.
        deviation: Of training rows' relevance from the mean of their query; models learn (relevance - mean) /
            deviation.

    Raises:
        MillisError: no room for a token.
    """

    column: str | None = None
    query: str | None = None
    metric: str = "ndcg_at_10"
    also: Sequence[str] = ("mrr", "recall_at_1")
    max_length: int = 128
    deviation: float = field(default=1.0, metadata=LEARNED)
    name: ClassVar[str] = "ranking"
    reads_offsets: ClassVar[bool] = False

    def __post_init__(self) -> None:
        check_length(self.max_length)
        object.__setattr__(self, "also", tuple(self.also))

    @property
    def outputs(self) -> tuple[Output, ...]:
        """One number."""
        return (Output("score", "text", 1, "value"),)

    @property
    def summary(self) -> str:
        """A score, and how far it usually is from a query's mean."""
        return f"a score of a query's candidate (± {self.deviation:.3g})"

    @property
    def references(self) -> Candidates:
        """Queries and relevance."""
        return Candidates(self.column, self.query, self.deviation)

    def learned(self, dataset: Dataset, cache: Path | None = None) -> "Ranking":
        """With the deviation of training rows.

        Raises:
            MillisError: all of a query's candidates are equally relevant, in every query, or a metric does not exist or
                cannot judge the data's relevances.
        """
        apart = np.array([relevance - mean for _, relevance, mean in dataset.train.references], np.float64)
        if not apart.any():
            raise MillisError(f"{dataset.name}: the candidates of every query are equally relevant: expected several")
        found = replace(self, deviation=float(apart.std()))
        for split in (dataset.train, dataset.validation, dataset.test):
            _, right = found.items(split.references, split.references, split.references)
            item_scores(found, right, right)
        return found

    def described(self) -> dict[str, Any]:
        """What turns a model's output into a score."""
        return {"name": self.name, "deviation": self.deviation}

    @property
    def identity(self) -> dict[str, Any]:
        """Orders are orders, whatever rows a model learned their scale from."""
        return {"name": self.name}

    def answer(self, outputs: Outputs, encoding: Any) -> Score:
        """The output in the unit of the data."""
        return Score(float(outputs[0][0, 0]) * self.deviation)

    def items(
        self, answers: Sequence[Any], right: Sequence[Any], references: Sequence[Any]
    ) -> tuple[list[Any], list[Any]]:
        """A query each: scores and relevances of its candidates, in the order of the rows.

        Args:
            right: Not read: only references tell relevance, for models learn it within its query.

        Raises:
            MillisError: more or fewer answers than references.
        """
        if len(answers) != len(references):
            raise MillisError(
                f"got {len(answers)} scores for {len(references)} candidates: expected one each, in order"
            )
        queries = together(references, self.references.group)
        scores = [tuple([answers[row] for row in rows]) for rows in queries]
        return scores, [tuple([references[row].relevance for row in rows]) for rows in queries]

    def metrics(self) -> dict[str, AnyMetric]:
        """Every metric of the task, by name.

        Raises:
            MillisError: one that does not exist or judges something else.
        """
        return {name: named(name, (), "scores") for name in (self.metric, *self.also)}
