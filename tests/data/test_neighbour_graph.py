"""A graph of neighbours finds what looking at every vector does; a damaged one never reaches Faiss."""

import sys

import numpy as np
import pytest

from millis.data import neighbour_graph
from millis.data.neighbour_graph import Comparison, NeighbourGraph, overlap
from millis.data.vectors import Vectors
from millis.errors import MillisError

COUNT = 1500  # enough that some are in a second layer and some in a third


def drawn(count, width=8, seed=0):
    values = np.random.default_rng(seed).normal(size=(count, width)).astype(np.float32)
    return Vectors(values / np.linalg.norm(values, axis=1, keepdims=True))


@pytest.fixture(scope="module")
def graph():
    return NeighbourGraph.of(drawn(COUNT), searched=128)


@pytest.fixture(scope="module")
def queries():
    return drawn(40, seed=1).values * 5


def test_it_finds_what_looking_at_every_vector_does(graph, queries):
    places, cosines = graph.ranked(queries, 10)
    exact = graph.vectors.ranked(queries, 10)
    assert places.shape == cosines.shape == (40, 10) and overlap(exact[0], places) >= 0.99
    np.testing.assert_allclose(np.sort(cosines)[:, ::-1], cosines)
    np.testing.assert_allclose(cosines[:, 0], exact[1][:, 0], atol=1e-5)
    assert NeighbourGraph.of(drawn(3)).ranked(queries, 10)[0].shape == (40, 3)


def test_what_is_kept_of_it_finds_the_same(graph, queries):
    arrays = graph.arrays()
    assert arrays["levels"].max() >= 2, "more than one layer is to be kept"
    again = NeighbourGraph.read(arrays, drawn(COUNT))
    assert again.vectors == graph.vectors and again.searched == 128
    for one, other in zip(again.ranked(queries, 10), graph.ranked(queries, 10), strict=True):
        np.testing.assert_array_equal(one, other)


def test_equal_vectors_give_an_equal_graph(graph):
    for name, array in NeighbourGraph.of(drawn(COUNT), searched=128).arrays().items():
        np.testing.assert_array_equal(array, graph.arrays()[name])


def test_it_keeps_as_few_candidates_as_find_enough(graph, queries, monkeypatch):
    monkeypatch.setattr(neighbour_graph, "_in_turns", lambda *_: (3.0, 1.5))
    graph = NeighbourGraph.read(graph.arrays(), drawn(COUNT))
    shares = iter([0.5, 0.98, 0.99, 1.0])
    monkeypatch.setattr(neighbour_graph, "overlap", lambda *_: next(shares))
    assert graph.compared(queries, 10) == Comparison(0.99, 3.0, 1.5, 64) and graph.searched == 64


def test_times_are_medians_in_turns(monkeypatch):
    clock = iter(np.cumsum([0, 1, 9, 2, 9, 3, 9, 4, 9, 8, 9, 30]) * 10**6)  # ms: 1 3 8 of the first way, 2 4 30
    monkeypatch.setattr(neighbour_graph, "perf_counter_ns", lambda: int(next(clock)))
    seen = []
    ways = [lambda rows, most: seen.append(("exact", len(rows))), lambda rows, most: seen.append(("graph", len(rows)))]
    assert neighbour_graph._in_turns(ways, np.zeros((3, 2), np.float32), 10) == (3, 4)
    assert seen == [("exact", 1), ("graph", 1)] * 3


@pytest.mark.parametrize(("found", "graph_ms", "pays"), [(0.99, 0.9, True), (0.989, 0.1, False), (1.0, 1.0, False)])
def test_it_pays_where_it_is_as_good_and_faster(found, graph_ms, pays):
    assert Comparison(found, 1.0, graph_ms, 64).pays is pays


def test_the_share_of_the_exact_places_by_hand():
    assert overlap(np.array([[1, 2], [3, 4]]), np.array([[2, 9], [4, 3]])) == 0.75


def test_of_no_entries_there_is_none():
    with pytest.raises(MillisError, match=r"^what searches the collection is of no entry: expected at least one$"):
        NeighbourGraph.of(Vectors(np.zeros((0, 4), np.float32)))


def test_vectors_that_are_no_numbers_are_refused(graph):
    with pytest.raises(MillisError, match="got vectors that are no finite numbers"):
        graph.ranked(np.full((1, 8), np.nan, np.float32), 10)


def test_a_graph_of_other_vectors_is_refused(graph):
    for other in (drawn(COUNT, seed=2), drawn(COUNT - 1)):
        with pytest.raises(MillisError, match=r"^what searches the collection is a graph of other vectors than those"):
            NeighbourGraph.read(graph.arrays(), other)


def lead_below(arrays):
    """A link of the second layer to an entry of the first alone."""
    row = int(np.flatnonzero(arrays["levels"] > 1)[0])
    arrays["neighbors"][int(arrays["offsets"][row]) + 64] = int(np.flatnonzero(arrays["levels"] == 1)[0])


@pytest.mark.parametrize(("damage", "message"), [
    (lambda arrays: arrays.pop("levels"), "lacks 'levels': expected a row of int32"),
    (lambda arrays: arrays.update(neighbors=arrays["neighbors"].astype(np.int64)), "lacks 'neighbors'"),
    (lambda arrays: arrays.update(levels=arrays["levels"][1:]), "is of 1499 entries: expected 1500, each in 1 to "),
    (lambda arrays: arrays["levels"].__setitem__(0, 0), "is of 1500 entries: expected 1500, each in 1 to "),
    (lambda arrays: arrays["levels"].__setitem__(0, 100), "is of 1500 entries: expected 1500, each in 1 to "),
    (lambda arrays: arrays["offsets"].__setitem__(3, 5), "has links of other entries than its layers say"),
    (lambda arrays: arrays.update(neighbors=arrays["neighbors"][:-1]), "has links of other entries than its layers"),
    (lambda arrays: arrays["neighbors"].__setitem__(0, COUNT), "leads to entries that are not there: expected -1"),
    (lambda arrays: arrays["neighbors"].__setitem__(0, -2), "leads to entries that are not there"),
    (lead_below, "leads to entries that are not in layer 1"),
    (lambda arrays: arrays.update(ends=arrays["ends"][:2]), "lacks 'ends': expected three numbers"),
    (lambda arrays: arrays["ends"].__setitem__(0, COUNT), "is entered at 1500 in layer"),
    (lambda arrays: arrays["ends"].__setitem__(1, 9), "in layer 9: expected one of the highest layer"),
    (lambda arrays: arrays["ends"].__setitem__(2, 10**9), "keeps 1000000000 candidates: expected one of 16, 32"),
])  # fmt: skip
def test_a_damaged_graph_never_reaches_faiss(graph, damage, message):
    arrays = {name: array.copy() for name, array in graph.arrays().items()}
    damage(arrays)
    with pytest.raises(MillisError, match=message):
        NeighbourGraph.read(arrays, drawn(COUNT))


def test_without_faiss_it_says_what_to_install(graph, monkeypatch):
    arrays = graph.arrays()
    monkeypatch.setitem(sys.modules, "faiss", None)
    with pytest.raises(MillisError, match=r"is a graph, which faiss reads: pip install 'millis\[retrieval\]'"):
        NeighbourGraph.read(arrays, drawn(COUNT))
