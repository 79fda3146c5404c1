"""Retrieval: a query in, the entries of a collection out, nearest first: two towers, of which one is computed once.

A query's vector is compared with those of the entries by cosine (Karpukhin et al. 2020, 2004.04906). The entries' are
those of a pre-trained encoder as it comes; only what reads queries is trained (as in Lewis et al. 2020, 2005.11401,
section 2.4), made small and deployed, so a new student needs no new index.

An artifact carries the entries and their vectors. Where a graph of neighbours (`millis.data.neighbour_graph`) finds as
good as the same entries sooner than looking at every vector does, which is measured, it carries that too.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from importlib.util import find_spec
from itertools import pairwise
from pathlib import Path
from typing import Annotated, Any, ClassVar, NamedTuple, TypedDict

import numpy as np
from msgspec import Meta
from numpy.typing import NDArray
from safetensors import safe_open
from safetensors.numpy import save

from millis.data.collection import ENTRY, Collection
from millis.data.dataset import Dataset
from millis.data.neighbour_graph import NeighbourGraph
from millis.data.vectors import Vectors
from millis.errors import MillisError
from millis.metrics import named
from millis.metrics.contract import AnyMetric
from millis.store import atomic_file, cached, fingerprint, locked
from millis.tasks.contract import LEARNED, Carried, InOnePass, check_length
from millis.types import Output, Outputs

MOST = 10  # entries in an answer
CARRIED = 200_000  # entries that an artifact holds
SEARCHED = 1_000  # entries from which a graph is tried: of fewer, every vector is looked at in some 50 µs
ASKED = 200  # queries that a graph is judged by
UNSEARCHED = "every entry is looked at: pip install 'millis[retrieval]' to try a graph of neighbours"
GRAPH = "graph/"  # before the names of a graph's arrays
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

    size: Annotated[int, Meta(ge=1, le=CARRIED)]
    width: Annotated[int, Meta(ge=1)]
    texts: str
    vectors: str


class Kept(NamedTuple):
    """Of a collection, what a manifest says.

    Args:
        size: Number of entries.
        width: D, of their vectors.
        texts, vectors: Fingerprints of both.
    """

    size: int
    width: int
    texts: str
    vectors: str


def read(described: Mapping[str, Any]) -> "Retrieval":
    """The task of an artifact; what it answers with is carried in a file (`Retrieval.carrying`)."""
    return Retrieval("", kept=Kept(*(described[name] for name in Kept._fields)))


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
        kept: What a manifest says of the collection.
        entries: Texts of the collection.
        vectors: Of the entries.
        asked: Queries of validation, that a graph is judged by.
        graph: Searches the vectors in place of looking at all.

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
    kept: Kept | None = field(default=None, metadata=LEARNED)
    entries: tuple[str, ...] = field(default=(), metadata=LEARNED)
    vectors: Vectors | None = field(default=None, metadata=LEARNED)
    asked: tuple[str, ...] = field(default=(), metadata=LEARNED)
    graph: NeighbourGraph | None = field(default=None, metadata=LEARNED, compare=False)
    name: ClassVar[str] = "retrieval"
    reads_offsets: ClassVar[bool] = False

    def __post_init__(self) -> None:
        check_length(self.max_length)
        object.__setattr__(self, "also", tuple(self.also))

    @property
    def outputs(self) -> tuple[Output, ...]:
        """The query's vector."""
        return (Output("vector", "text", 1 if self.kept is None else self.kept.width, "vector"),)

    @property
    def summary(self) -> str:
        """How many entries there are."""
        return f"entries of a collection of {0 if self.kept is None else self.kept.size:,}"

    @property
    def references(self) -> Collection:
        """What each query should find."""
        return Collection(self.collection, self.column, self.id, self.text, self.vectors)

    def learned(self, dataset: Dataset, cache: Path | None = None) -> "Retrieval":
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
        vectors = Vectors(sentence_vectors(self.encoder or Packaged(), entries, self.max_length, cache))
        found = self.over(entries, vectors, tuple(map(str, dataset.validation.texts[:ASKED])))
        found.metrics()
        return found

    def over(self, entries: tuple[str, ...], vectors: Vectors, asked: tuple[str, ...] = ()) -> "Retrieval":
        """The same over a collection of these entries."""
        kept = Kept(len(entries), vectors.values.shape[1], fingerprint(list(entries)), vectors.content)
        return replace(self, kept=kept, entries=entries, vectors=vectors, asked=asked)

    def described(self) -> dict[str, Any]:
        """Size and fingerprints of the collection."""
        assert self.kept is not None, "a task is described once it has learned"
        return {"name": self.name, **self.kept._asdict()}

    @property
    def identity(self) -> dict[str, Any]:
        """The entries, whatever their vectors."""
        assert self.kept is not None, "as above"
        return {"name": self.name, "size": self.kept.size, "texts": self.kept.texts}

    def carried(self, cache: Path) -> Carried:
        """The entries, their vectors in half precision and, where it pays, a graph of them, made once."""
        assert self.vectors is not None, "as above"
        texts = [entry.encode() for entry in self.entries]
        arrays = {
            "texts": np.frombuffer(b"".join(texts), np.uint8),
            "ends": np.cumsum([len(text) for text in texts]),
            "vectors": self.vectors.values.astype(np.float16),
        }
        if len(texts) < SEARCHED or not self.asked:
            return Carried(arrays)
        if find_spec("faiss") is None:
            return Carried(arrays, (UNSEARCHED,))
        path = cache / "graph" / f"{fingerprint(self.vectors.content, list(self.asked))}.safetensors"
        with locked(path, "the collection's graph, which another process makes"):
            if not path.is_file():
                with atomic_file(path) as temporary:
                    temporary.write_bytes(self._graph(arrays["vectors"]))
        with cached(path), safe_open(path, "numpy") as file:
            kept = {GRAPH + name: file.get_tensor(name) for name in list(file.keys())}  # it is no mapping
            return Carried({**arrays, **kept}, (file.metadata()["note"],))

    def _graph(self, values: NDArray[np.float16]) -> bytes:
        """A graph of vectors where it pays, or nothing, and the note of it, as a file."""
        from millis.models.load import Packaged
        from millis.models.sentence_vectors import sentence_vectors

        graph = NeighbourGraph.of(Vectors(values.astype(np.float32)))
        asked = sentence_vectors(self.encoder or Packaged(), self.asked, self.max_length)
        compared = graph.compared(asked, MOST)
        return save(graph.arrays() if compared.pays else {}, {"note": compared.note(len(values))})

    def carrying(self, arrays: Mapping[str, NDArray[Any]]) -> "Retrieval":
        """With the entries, their vectors and their graph.

        Raises:
            MillisError: they are not those of the manifest, or the graph is of other vectors.
        """
        assert self.kept is not None, "as above"
        size, width = self.kept.size, self.kept.width
        entries, vectors = _entries(arrays, size), _vectors(arrays, size, width)
        if fingerprint(list(entries)) != self.kept.texts or vectors.content != self.kept.vectors:
            raise MillisError("the collection is another than the manifest's: its entries or their vectors differ")
        links = {name.removeprefix(GRAPH): array for name, array in arrays.items() if name.startswith(GRAPH)}
        graph = NeighbourGraph.read(links, vectors) if links else None
        return replace(self, entries=entries, vectors=vectors if graph is None else graph.vectors, graph=graph)

    def answer(self, outputs: Outputs, encoding: Any) -> Found:
        """The entries whose vectors are nearest, or nearly so where a graph searches."""
        assert self.vectors is not None, "a task answers once it has learned, or carries what an artifact holds"
        places, cosines = (self.graph or self.vectors).ranked(outputs[0][:1], MOST)
        found = places[0] >= 0
        ranked = tuple(places[0][found].tolist())
        return Found(tuple(self.entries[place] for place in ranked), tuple(cosines[0][found].tolist()), ranked)

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


def _entries(arrays: Mapping[str, NDArray[Any]], size: int) -> tuple[str, ...]:
    """The texts of a collection.

    Raises:
        MillisError: they are no texts, or not so many.
    """
    texts, ends = (arrays.get(name) for name in ("texts", "ends"))
    if texts is None or ends is None or texts.dtype != np.uint8 or ends.dtype != np.int64 or ends.shape != (size,):
        raise MillisError(f"the collection lacks texts: expected {size} and where each ends")
    begins = np.concatenate([[0], ends])
    if (np.diff(begins) < 0).any() or begins[-1] != texts.size:
        raise MillisError("the collection's texts end elsewhere than it says")
    joined = texts.tobytes()
    try:
        return tuple(joined[begin:end].decode() for begin, end in pairwise(begins.tolist()))
    except UnicodeDecodeError as error:
        raise MillisError(f"the collection has texts that are no UTF-8: {error}") from error


def _vectors(arrays: Mapping[str, NDArray[Any]], size: int, width: int) -> Vectors:
    """Those of a collection.

    Raises:
        MillisError: they are of another number or width, or no finite numbers.
    """
    values = arrays.get("vectors")
    if values is None or values.dtype != np.float16 or values.shape != (size, width) or not np.isfinite(values).all():
        raise MillisError(f"the collection lacks vectors: expected {width} finite numbers for each of {size} entries")
    return Vectors(values.astype(np.float32))
