"""A graph of neighbours, in which the nearest vectors are found without looking at all: HNSW (Malkov and Yashunin 2018,
1603.09320), by Faiss (Douze et al. 2024, 2401.08281).

On disk it is plain arrays of numbers, which are checked before Faiss gets them: how many layers each vector is in
(`levels` [C]), where its links begin (`offsets` [C + 1]) and what they lead to (`neighbors`, -1 where there is none).
It is told which vectors it is of, and refused beside any others: links lead to places, whatever lies there.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from statistics import median
from time import perf_counter_ns
from typing import Any

import numpy as np
from numpy.typing import NDArray

from millis.data.vectors import Vectors, unit
from millis.errors import MillisError

LINKS = 32  # of a vector in each layer but the lowest, which has twice as many (M)
LOOKED_AT = 200  # candidates, while it is built (efConstruction)
SEARCHED = (16, 32, 64, 128, 256, 512)  # candidates that a search may keep (efSearch)
EQUAL = 0.99  # share of the exact answer's entries from which a graph's is as good
ARRAYS = {"levels": np.int32, "offsets": np.uint64, "neighbors": np.int32}
WHAT = "what searches the collection"


@dataclass(frozen=True)
class Comparison:
    """A graph against looking at every vector.

    Args:
        found: Share of the exact answer's entries that the graph finds, 0 to 1.
        exact_ms, graph_ms: Median milliseconds of one query, in turns.
        searched: Candidates that the graph keeps.
    """

    found: float
    exact_ms: float
    graph_ms: float
    searched: int

    @property
    def pays(self) -> bool:
        """Whether the graph is as good and faster."""
        return self.found >= EQUAL and self.graph_ms < self.exact_ms

    def note(self, entries: int) -> str:
        """For the record."""
        chosen = "a graph of neighbours (HNSW) searches" if self.pays else "every entry is looked at of"
        return (
            f"{chosen} the collection's {entries:,} entries: of the ten that an exact search finds, the graph finds "
            f"{self.found:.1%}, in {self.graph_ms:.3f} ms a query; exact search takes {self.exact_ms:.3f} ms"
        )


class NeighbourGraph:
    """Of vectors, as Faiss has it; searched from several threads."""

    def __init__(self, index: Any, searched: int) -> None:
        self._index = index
        self.searched = searched

    @property
    def searched(self) -> int:
        """Candidates that a search keeps."""
        return int(self._index.hnsw.efSearch)

    @searched.setter
    def searched(self, candidates: int) -> None:
        self._index.hnsw.efSearch = candidates

    @property
    def vectors(self) -> Vectors:
        """That it is of: the very memory that it searches."""
        import faiss

        storage: Any = faiss.downcast_index(self._index.storage)
        flat = faiss.rev_swig_ptr(storage.get_xb(), storage.ntotal * storage.d)
        return Vectors(flat.reshape(storage.ntotal, storage.d), self._index)

    @classmethod
    def of(cls, vectors: Vectors, searched: int = SEARCHED[0]) -> "NeighbourGraph":
        """Build it, on one thread, so that equal vectors give an equal graph.

        Raises:
            MillisError: Faiss is not installed, or there is no vector.
        """
        faiss = _faiss()
        if not len(vectors.values):
            raise MillisError(f"{WHAT} is of no entry: expected at least one")
        threads = faiss.omp_get_max_threads()
        faiss.omp_set_num_threads(1)
        try:
            index = _empty(vectors.values.shape[1])
            index.add(np.ascontiguousarray(vectors.values))
        finally:
            faiss.omp_set_num_threads(threads)
        return cls(index, searched)

    def arrays(self) -> dict[str, NDArray[Any]]:
        """What is kept of it."""
        import faiss

        graph = self._index.hnsw
        ends = np.array([graph.entry_point, graph.max_level, self.searched], np.int64)
        kept = {name: faiss.vector_to_array(getattr(graph, name)) for name in ARRAYS}
        return {**kept, "ends": ends, "of": _spelled(self.vectors)}

    @classmethod
    def read(cls, arrays: Mapping[str, NDArray[Any]], vectors: Vectors) -> "NeighbourGraph":
        """The graph that `arrays` kept, of the same vectors.

        Raises:
            MillisError: Faiss is not installed, or the arrays are no graph, or one of other vectors.
        """
        if "of" not in arrays or not np.array_equal(arrays["of"], _spelled(vectors)):
            raise MillisError(f"{WHAT} is a graph of other vectors than those beside it")
        faiss = _faiss()
        count, width = vectors.values.shape
        index = _empty(width)
        entry, highest, searched = _checked(arrays, count, faiss.vector_to_array(index.hnsw.cum_nneighbor_per_level))
        faiss.downcast_index(index.storage).add(np.ascontiguousarray(vectors.values))
        index.ntotal = count
        for name in ARRAYS:
            faiss.copy_array_to_vector(np.ascontiguousarray(arrays[name]), getattr(index.hnsw, name))
        index.hnsw.entry_point, index.hnsw.max_level = entry, highest
        return cls(index, searched)

    def ranked(self, found: NDArray[np.float32], most: int) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
        """As `Vectors.ranked`, but for entries that the search misses; -1 where it found fewer.

        Raises:
            MillisError: vectors that are no finite numbers.
        """
        cosines, places = self._index.search(unit(found), min(most, self._index.ntotal))
        return places, cosines

    def compared(self, queries: NDArray[np.float32], most: int) -> Comparison:
        """Hold it against looking at every vector; it keeps as few candidates from then on as find as many entries.

        Args:
            queries: [N, D], N at least 1.
            most: Entries of an answer.
        """
        exact = self.vectors.ranked(queries, most)[0]
        for self.searched in SEARCHED:
            share = overlap(exact, self.ranked(queries, most)[0])
            if share >= EQUAL:
                break
        times = _in_turns([self.vectors.ranked, self.ranked], queries, most)
        return Comparison(share, *times, self.searched)


def overlap(exact: NDArray[np.int64], found: NDArray[np.int64]) -> float:
    """Share of the exact places [N, most] that are among those found, 0 to 1."""
    pairs = zip(exact.tolist(), found.tolist(), strict=True)
    return float(np.mean([len(set(one) & set(other)) / len(one) for one, other in pairs]))


def _faiss() -> Any:
    try:
        import faiss
    except ImportError as error:
        raise MillisError(f"{WHAT} is a graph, which faiss reads: pip install 'millis[retrieval]'") from error
    return faiss


def _spelled(vectors: Vectors) -> NDArray[np.uint8]:
    """The fingerprint of vectors, as numbers."""
    return np.frombuffer(vectors.content.encode(), np.uint8)


def _empty(width: int) -> Any:
    """An index of no vectors of `width` numbers."""
    import faiss

    index = faiss.IndexHNSWFlat(width, LINKS, faiss.METRIC_INNER_PRODUCT)
    index.hnsw.efConstruction = LOOKED_AT
    return index


def _checked(arrays: Mapping[str, NDArray[Any]], count: int, ends: NDArray[np.int32]) -> tuple[int, int, int]:
    """Entry point, highest layer and candidates of a search, of arrays that lead nowhere but to vectors.

    Args:
        arrays: As `NeighbourGraph.arrays` gives them.
        count: Of the vectors.
        ends: Links that a vector has up to each layer, [layers + 1], from 0.

    Raises:
        MillisError: says what is amiss.
    """
    for name, kind in {**ARRAYS, "ends": np.int64}.items():
        if name not in arrays or arrays[name].dtype != kind or arrays[name].ndim != 1:
            raise MillisError(f"{WHAT} lacks {name!r}: expected a row of {np.dtype(kind).name}")
    levels, neighbors = arrays["levels"], arrays["neighbors"]
    if len(levels) != count or count < 1 or levels.min() < 1 or levels.max() >= len(ends):
        raise MillisError(f"{WHAT} is of {len(levels)} entries: expected {count}, each in 1 to {len(ends) - 1} layers")
    begins = np.concatenate([[0], np.cumsum(ends[levels])])
    if not np.array_equal(arrays["offsets"], begins.astype(np.uint64)) or len(neighbors) != begins[-1]:
        raise MillisError(f"{WHAT} has links of other entries than its layers say: expected {begins[-1]} in all")
    if neighbors.min() < -1 or neighbors.max() >= count:
        raise MillisError(f"{WHAT} leads to entries that are not there: expected -1 to {count - 1}")
    for layer in range(1, int(levels.max())):  # of the lowest, every vector is a part
        rows = begins[:-1][levels > layer]
        linked = neighbors[rows[:, None] + np.arange(ends[layer], ends[layer + 1])]
        if (levels[linked[linked >= 0]] <= layer).any():
            raise MillisError(f"{WHAT} leads to entries that are not in layer {layer}")
    if len(arrays["ends"]) != 3:
        raise MillisError(f"{WHAT} lacks 'ends': expected three numbers")
    entry, highest, searched = map(int, arrays["ends"])
    if not 0 <= entry < count or highest != levels.max() - 1 or levels[entry] != highest + 1:
        raise MillisError(f"{WHAT} is entered at {entry} in layer {highest}: expected one of the highest layer")
    if searched not in SEARCHED:
        raise MillisError(f"{WHAT} keeps {searched} candidates: expected one of {', '.join(map(str, SEARCHED))}")
    return entry, highest, searched


Search = Callable[[NDArray[np.float32], int], object]


def _in_turns(ways: list[Search], queries: NDArray[np.float32], most: int) -> tuple[float, float]:
    """Median milliseconds of each of two ways, a query at a time."""
    taken: list[list[int]] = [[], []]
    for row in range(len(queries)):
        for way, times in zip(ways, taken, strict=True):
            begun = perf_counter_ns()
            way(queries[row : row + 1], most)
            times.append(perf_counter_ns() - begun)
    exact, graph = (median(times) / 1e6 for times in taken)
    return exact, graph
