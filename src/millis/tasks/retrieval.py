"""Retrieval: a query in, the entries of a collection out, nearest first: two towers, of which one is computed once.

A query's vector is compared with those of the entries by cosine (Karpukhin et al. 2020, 2004.04906). The entries' are
those of a pre-trained encoder as it comes; only what reads queries is trained (as in Lewis et al. 2020, 2005.11401,
section 2.4), made small and deployed, so a new student needs no new index.
"""

import base64
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, ClassVar, NamedTuple, TypedDict

import numpy as np

from millis.data.collection import ENTRY, Collection, Vectors
from millis.data.dataset import Dataset
from millis.errors import MillisError
from millis.metrics import named
from millis.metrics.contract import AnyMetric
from millis.tasks.contract import LEARNED, InOnePass, check_length
from millis.types import Output, Outputs

MOST = 10  # entries in an answer
CARRIED = 20_000  # entries that an artifact holds
STAND_FOR_ALL = 200  # entries that an item has at least, where the collection has so many
SHOWN = 60  # characters of an entry


class Found(NamedTuple):
    """An answer: entries of the collection, nearest first.

    Args:
        entries: Their texts, up to ten.
        cosines: How near each is.
        ranked: Their places in the collection.
    """

    entries: tuple[str, ...]
    cosines: tuple[float, ...]
    ranked: tuple[int, ...]

    @property
    def text(self) -> str:
        """The nearest entry and its cosine."""
        entry = self.entries[0]
        short = entry if len(entry) <= SHOWN else f"{entry[: SHOWN - 3]}..."
        return f"{short} ({self.cosines[0]:.2f})"

    def value(self) -> list[int]:
        """Places in the collection."""
        return list(self.ranked)


class Described(TypedDict):
    """What an artifact says of this task."""

    entries: list[str]
    vectors: str
    width: int


def read(described: Mapping[str, Any]) -> "Retrieval":
    """The task of an artifact.

    Raises:
        MillisError: vectors that are not those of the entries.
    """
    entries, width = tuple(described["entries"]), described["width"]
    try:
        values = np.frombuffer(base64.b64decode(described["vectors"], validate=True), np.float16).astype(np.float32)
    except ValueError as error:
        raise MillisError(f"vectors are no numbers: {error}") from error
    if not entries or width < 1 or len(values) != len(entries) * width or not np.isfinite(values).all():
        raise MillisError(
            f"vectors have {len(values)} numbers; expected {width} finite ones for each of {len(entries)}"
        )
    return Retrieval("", entries=entries, vectors=Vectors(values.reshape(len(entries), width)))


@dataclass(frozen=True)
class Retrieval(InOnePass):
    """What is predicted and how it is judged.

    Args:
        collection: File of the entries, one a row, in any format that data may have.
        encoder: Source of the model that makes the entries' vectors, once; teachers should start from the same. None is
            all-MiniLM-L6-v2.
        column: Of the data: names of the entries that a query should find, one or a list; None is `data.label`.
        id, text: Columns of the collection: an entry's name and its text.
        metric: The quality metric: models are selected, compared and reported by it.
        also: Metrics reported beside it.
        max_length: Longest token sequence; longer texts are truncated and counted.
        entries: Texts of the collection.
        vectors: Of the entries.

    Raises:
        MillisError: no room for a token.
    """

    collection: str
    encoder: Any = None
    column: str | None = None
    id: str = "id"
    text: str = "text"
    metric: str = "mrr_at_10"
    also: Sequence[str] = ("recall_at_1", "recall_at_5")
    max_length: int = 128
    entries: tuple[str, ...] = field(default=(), metadata=LEARNED)
    vectors: Vectors | None = field(default=None, metadata=LEARNED)
    name: ClassVar[str] = "retrieval"
    reads_offsets: ClassVar[bool] = False

    def __post_init__(self) -> None:
        check_length(self.max_length)
        object.__setattr__(self, "also", tuple(self.also))

    @property
    def outputs(self) -> tuple[Output, ...]:
        """The query's vector."""
        width = 1 if self.vectors is None else self.vectors.values.shape[1]
        return (Output("vector", "text", width, "vector"),)

    @property
    def summary(self) -> str:
        """How many entries there are."""
        return f"entries of a collection of {len(self.entries):,}"

    @property
    def references(self) -> Collection:
        """What each query should find."""
        return Collection(self.collection, self.column, self.id, self.text, self.vectors)

    def learned(self, dataset: Dataset) -> "Retrieval":
        """With the collection's texts and vectors.

        Raises:
            MillisError: more entries than an artifact holds, queries that are pairs, or a metric that does not exist.
        """
        from millis.models.load import Packaged
        from millis.models.sentence_vectors import sentence_vectors

        entries = dataset.names[ENTRY]
        if len(entries) > CARRIED:
            raise MillisError(
                f"task.collection={self.collection} has {len(entries):,} entries, and an artifact holds up to "
                f"{CARRIED:,}. Give a part of it; an index of your own may search the rest with the query's vector"
            )
        if dataset.pairs:
            raise MillisError(f"{dataset.name} has pairs of texts, and a query is one: name its column with data.text=")
        found = replace(
            self,
            entries=entries,
            vectors=Vectors(sentence_vectors(self.encoder or Packaged(), entries, self.max_length)),
        )
        found.metrics()
        return found

    def described(self) -> dict[str, Any]:
        """The collection, its vectors in half precision."""
        assert self.vectors is not None, "a task is described once it has learned"
        values = self.vectors.values.astype(np.float16)
        return {
            "name": self.name,
            "entries": list(self.entries),
            "vectors": base64.b64encode(values.tobytes()).decode(),
            "width": values.shape[1],
        }

    @property
    def identity(self) -> dict[str, Any]:
        """The entries, whatever their vectors."""
        return {"name": self.name, "entries": list(self.entries)}

    def answer(self, outputs: Outputs, encoding: Any) -> Found:
        """The entries whose vectors are nearest."""
        assert self.vectors is not None, "as above"
        places, cosines = self.vectors.ranked(outputs[0][:1], MOST)
        ranked = tuple(places[0].tolist())
        return Found(tuple(self.entries[place] for place in ranked), tuple(cosines[0].tolist()), ranked)

    def items(
        self, answers: Sequence[Any], right: Sequence[Any], references: Sequence[Any]
    ) -> tuple[list[Any], list[Any]]:
        """Scores and relevances of entries, a query each: those that it should find, then others.

        What was found scores 10 for the nearest to 1 for the tenth, all else 0. There are so many others that a random
        order is worth what it is among all entries, or among `STAND_FOR_ALL`; which entries stand where depends on the
        references alone, so that models' answers can be compared.

        Args:
            answers: Places in the collection, or vectors, while a model trains.
            right: Not read: a vector does not tell all that is right.

        Raises:
            MillisError: no answers, more or fewer than references, or vectors that are no finite numbers.
        """
        assert self.vectors is not None, "as above"
        if not answers or len(answers) != len(references):
            raise MillisError(f"got {len(answers)} answers to {len(references)} queries: expected one each, in order")
        if isinstance(answers[0][0], float):
            answers = self.vectors.ranked(np.asarray(answers, np.float32), MOST)[0].tolist()
        pairs = [self._item(answer, wanted) for answer, wanted in zip(answers, references, strict=True)]
        return [scores for scores, _ in pairs], [relevances for _, relevances in pairs]

    def _item(self, answer: Sequence[int], wanted: Sequence[int]) -> tuple[tuple[int, ...], tuple[int, ...]]:
        total = min(len(self.entries), max(STAND_FOR_ALL, len(wanted) + MOST))
        found = {place: MOST - rank for rank, place in enumerate(answer)}
        others = [score for place, score in found.items() if place not in wanted]
        scores = [*(found.get(place, 0) for place in wanted), *others]
        scores += [0] * (total - len(scores))
        return tuple(scores), (1,) * len(wanted) + (0,) * (total - len(wanted))

    def same(self, ours: Sequence[Any], theirs: Sequence[Any]) -> list[bool]:
        """Those with the same nearest entry."""
        return [one[0] == other[0] for one, other in zip(ours, theirs, strict=True)]

    def metrics(self) -> dict[str, AnyMetric]:
        """Every metric of the task, by name.

        Raises:
            MillisError: one that does not exist or judges something else.
        """
        return {name: named(name, (), "scores") for name in (self.metric, *self.also)}
