"""The items of a catalogue in the space where users are, and which of them score most.

What scores most is what is nearest: items become vectors of one length in one dimension more, [z, popularity, rest],
beside which a user is [u, 1, 0] (Bachrach et al. 2014, "Speeding Up the Xbox Recommender System Using a Euclidean
Transformation for Inner-Product Spaces"), so their cosines have the order of the scores. A graph of neighbours searches
them where that pays (`millis.data.neighbour_graph`), and what it finds is scored exactly.

In an application's folder:

    items.json            ids and texts
    towers.safetensors    weights of the tower, vectors and popularity of the items, and the graph, where there is one

Axes here: C items, K of a vector.
"""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from safetensors import SafetensorError
from safetensors.numpy import load_file, save_file

from millis import schema
from millis.applications.recommendation.tower import Numbers, Tower
from millis.data.neighbour_graph import Comparison, NeighbourGraph
from millis.data.vectors import Vectors
from millis.errors import MillisError
from millis.store import write_json

ITEMS, TOWERS = "items.json", "towers.safetensors"
GRAPH = "graph."  # before the names of the graph's arrays
MOST = 10  # items of an answer
FURTHER = 50  # that a graph is asked for beside those that are left out
LEFT_OUT = 200  # of a long history, of which few are near: every item is looked at where that was too few


@dataclass(frozen=True)
class Names:
    """What `items.json` holds, [C] both."""

    ids: list[str]
    texts: list[str]


class Catalogue:
    """Items that are recommended.

    Args:
        names: Ids and texts.
        vectors: [C, K].
        popularity: [C].
        graph: What searches them; None where every item is looked at.

    Raises:
        MillisError: no items, or numbers that are not those of the items.
    """

    def __init__(
        self, names: Names, vectors: Numbers, popularity: Numbers, graph: Mapping[str, Any] | None = None
    ) -> None:
        count = len(names.ids)
        if count < 1:
            raise MillisError("the catalogue is empty: expected items to choose from")
        if len(names.texts) != count or len(set(names.ids)) != count:
            raise MillisError(f"the catalogue has {count} ids and {len(names.texts)} texts: expected one each, all new")
        if vectors.shape[:1] != (count,) or vectors.ndim != 2 or popularity.shape != (count,):
            raise MillisError(
                f"the catalogue has {count} items and vectors of shape {vectors.shape}: they are of another catalogue"
            )
        if not (np.isfinite(vectors).all() and np.isfinite(popularity).all()):
            raise MillisError("the items' vectors are no finite numbers: they are damaged")
        self.names, self.vectors, self.popularity = names, vectors, popularity
        self._graph = None if graph is None else NeighbourGraph.read(graph, self._unit)

    @cached_property
    def index(self) -> dict[str, int]:
        """Id → place."""
        return {name: place for place, name in enumerate(self.names.ids)}

    @property
    def is_searched_by_graph(self) -> bool:
        """Whether a graph searches it."""
        return self._graph is not None

    @cached_property
    def _unit(self) -> Vectors:
        """The items as vectors of length 1 whose cosines with `[u, 1, 0]` have the order of the scores, [C, K + 2]."""
        rows = np.column_stack([self.vectors, self.popularity - self.popularity.max()])
        squares = (rows * rows).sum(axis=1)
        longest = float(squares.max())
        rows = np.column_stack([rows, np.sqrt(np.maximum(longest - squares, 0))])
        return Vectors(np.ascontiguousarray(rows / np.float32(np.sqrt(max(longest, 1e-12))), np.float32))

    def best(self, user: Numbers, without: Sequence[int], most: int = MOST) -> tuple[list[int], list[float]]:
        """Places and scores of the items that score most, best first.

        Args:
            user: A vector, [K].
            without: Places that are left out.
            most: Of the answer.
        """
        barred = np.asarray(without, np.int64)
        if self._graph is not None:
            asked = np.concatenate([user, np.array([1, 0], np.float32)])[None]
            found = self._graph.ranked(asked, most + min(len(barred), LEFT_OUT) + FURTHER)[0][0]
            places = np.setdiff1d(found[found >= 0], barred)
            if len(places) >= most:
                return self._first(places, self.vectors[places] @ user + self.popularity[places], most)
        scores = self.vectors @ user + self.popularity
        scores[barred] = -np.inf
        return self._first(np.arange(len(scores)), scores, min(most, len(scores) - len(np.unique(barred))))

    @staticmethod
    def _first(places: NDArray[np.int64], scores: Numbers, most: int) -> tuple[list[int], list[float]]:
        """Those of the highest scores, of equal ones in the order of the catalogue."""
        count = min(most, len(places))
        kept = np.argpartition(-scores, count - 1)[:count] if count else np.empty(0, np.int64)
        kept = kept[np.lexsort((places[kept], -scores[kept]))]
        return places[kept].tolist(), scores[kept].tolist()

    def graphed(self, users: Numbers) -> tuple["Catalogue", Comparison]:
        """The catalogue with a graph that finds 99 % of what is nearest, and how it compares with looking at all.

        Args:
            users: Vectors that are searched for, [N, K].
        """
        graph = NeighbourGraph.of(self._unit)
        asked = np.column_stack([users, np.ones(len(users)), np.zeros(len(users))]).astype(np.float32)
        comparison = graph.compared(asked, MOST + FURTHER)
        return Catalogue(self.names, self.vectors, self.popularity, graph.arrays()), comparison

    def extended(self, names: Names, vectors: Numbers, popularity: float) -> "Catalogue":
        """With further items, which nobody took yet; no graph of the old ones serves the new.

        Args:
            names: Of the new ones.
            vectors: Theirs, [N, K].
            popularity: Of each.

        Raises:
            MillisError: an id that is there already.
        """
        if known := [name for name in names.ids if name in self.index]:
            raise MillisError(f"item {known[0]!r} is in the catalogue already: expected new ones")
        both = Names([*self.names.ids, *names.ids], [*self.names.texts, *names.texts])
        further = np.full(len(names.ids), popularity, np.float32)
        return Catalogue(both, np.concatenate([self.vectors, vectors]), np.concatenate([self.popularity, further]))

    def write(self, tower: Tower, folder: Path) -> None:
        """Write it and its tower into a folder."""
        write_json(folder / ITEMS, asdict(self.names))
        graph = {} if self._graph is None else self._graph.arrays()
        tensors = {**tower.tensors(), "vectors": self.vectors, "item_popularity": self.popularity}
        tensors |= {f"{GRAPH}{name}": values for name, values in graph.items()}
        save_file({name: np.ascontiguousarray(values) for name, values in tensors.items()}, folder / TOWERS)


def read(folder: Path) -> tuple[Catalogue, Tower]:
    """The catalogue of an application's folder, and its tower.

    Raises:
        MillisError: they are damaged, or not of each other.
    """
    try:
        names = schema.decoded((folder / ITEMS).read_bytes(), Names)
        tensors = load_file(folder / TOWERS)
        graph = {name.removeprefix(GRAPH): one for name, one in tensors.items() if name.startswith(GRAPH)}
        tower = Tower.of(tensors)
        if missing := [name for name in ("vectors", "item_popularity") if name not in tensors]:
            raise MillisError(f"there are no {missing[0]}")
        catalogue = Catalogue(names, tensors["vectors"], tensors["item_popularity"], graph or None)
    except (MillisError, OSError, SafetensorError, KeyError) as error:  # a type that NumPy lacks is a KeyError
        raise MillisError(f"its catalogue is damaged: {error}") from error
    if tower.projection.shape[1] != catalogue.vectors.shape[1]:
        raise MillisError(
            f"its catalogue has vectors of {catalogue.vectors.shape[1]} numbers, and its tower of "
            f"{tower.projection.shape[1]}: they are not of each other"
        )
    return catalogue, tower
