"""What scores most, by looking at all and by a graph; and catalogues on disk that are damaged."""

import json

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors.numpy import load_file, save_file

from millis.applications.recommendation.catalogue import Catalogue, Names, read
from millis.applications.recommendation.tower import Tower
from millis.errors import MillisError

TOWER = Tower.of({
    "projection": np.eye(4, 3), "recency": np.zeros(2), "step": np.zeros((3, 3)), "inner": np.zeros((6, 2)),
    "bias": np.zeros(2), "outer": np.zeros((2, 3)), "popularity": np.array([-4.0]),
})  # fmt: skip


def names(count, first=0):
    places = range(first, first + count)
    return Names([f"i{place}" for place in places], [f"Item {place}" for place in places])


def drawn(count, seed=0):
    rng = np.random.default_rng(seed)
    return Catalogue(names(count), rng.normal(size=(count, 3)).astype(np.float32), rng.normal(size=count).astype("f4"))


def test_scores_are_products_and_popularity_and_what_was_taken_is_left_out():
    catalogue = Catalogue(names(4), np.array([[1, 0], [0, 1], [2, 0], [0, 0]], "f4"), np.array([0, 0, 0, 5], "f4"))
    assert catalogue.best(np.array([3, 1], "f4"), [2], most=2) == ([3, 0], [5.0, 3.0])
    assert catalogue.best(np.array([0, 0], "f4"), [3], most=9) == ([0, 1, 2], [0.0, 0.0, 0.0])
    assert catalogue.best(np.array([3, 1], "f4"), [0, 1, 2, 3]) == ([], [])


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 10**6), st.integers(1, 30))
def test_nearest_by_cosine_is_best_by_score(seed, most):
    catalogue = drawn(40, seed)
    user = np.random.default_rng(seed + 1).normal(size=3).astype(np.float32)
    places = catalogue._unit.ranked(np.concatenate([user, [1, 0]]).astype("f4")[None], most)[0][0]
    scores = catalogue.vectors @ user + catalogue.popularity
    np.testing.assert_allclose(scores[places], np.sort(scores)[::-1][:most], rtol=1e-3, atol=1e-3)
    np.testing.assert_allclose(np.linalg.norm(catalogue._unit.values, axis=1), 1, rtol=1e-4)


@pytest.fixture(scope="module")
def graphed():
    """A catalogue that a graph searches, whether that pays or not."""
    found, comparison = drawn(300).graphed(np.random.default_rng(1).normal(size=(20, 3)).astype(np.float32))
    assert "300 entries" in comparison.note(300)
    return found


def test_a_graph_gives_the_same_answers(graphed):
    plain, rng = drawn(300), np.random.default_rng(3)
    assert graphed.is_searched_by_graph
    assert not plain.is_searched_by_graph
    for _ in range(20):
        user = rng.normal(size=3).astype(np.float32)
        assert graphed.best(user, [1, 2, 3])[0] == plain.best(user, [1, 2, 3])[0]


def test_new_items_are_found_behind_the_old_ones(graphed):
    wider = graphed.extended(names(1, first=300), np.array([[50, 0, 0]], "f4"), -4.0)
    assert wider.best(np.array([1, 0, 0], "f4"), [], most=1)[0] == [300]
    assert wider.popularity[300] == -4
    with pytest.raises(MillisError, match="item 'i7' is in the catalogue already"):
        graphed.extended(names(1, first=7), np.zeros((1, 3), "f4"), 0.0)


def test_it_is_read_as_it_was_written(graphed, tmp_path):
    graphed.write(TOWER, tmp_path)
    again, tower = read(tmp_path)
    assert again.names == graphed.names
    assert again.is_searched_by_graph
    np.testing.assert_array_equal(again.vectors, graphed.vectors)
    np.testing.assert_array_equal(tower.projection, TOWER.projection)


def changed(folder, **tensors):
    found = {**load_file(folder / "towers.safetensors"), **tensors}
    save_file({name: one for name, one in found.items() if one is not None}, folder / "towers.safetensors")


@pytest.mark.parametrize(("damage", "message"), [
    (lambda folder: (folder / "items.json").unlink(), "No such file"),
    (lambda folder: (folder / "items.json").write_text("{}"), "missing required field"),
    (lambda folder: (folder / "items.json").write_text(json.dumps({"ids": [], "texts": []})),
     "the catalogue is empty: expected items to choose from"),
    (lambda folder: (folder / "items.json").write_text(json.dumps({"ids": ["a", "a"], "texts": ["x", "y"]})),
     "2 ids and 2 texts: expected one each, all new"),
    (lambda folder: (folder / "towers.safetensors").write_bytes(b"xx"), "its catalogue is damaged"),
    (lambda folder: changed(folder, vectors=np.zeros((7, 3), "f4")), "they are of another catalogue"),
    (lambda folder: changed(folder, vectors=np.full((300, 3), np.nan, "f4")), "no finite numbers"),
    (lambda folder: changed(folder, vectors=np.ones((300, 3), "f4")), "a graph of other vectors"),
    (lambda folder: changed(folder, item_popularity=None), "there are no item_popularity"),
    (lambda folder: changed(folder, recency=None), "the tower has no recency"),
    (lambda folder: changed(folder, vectors=np.ones((300, 5), "f4"), **{
        name: None for name in load_file(folder / "towers.safetensors") if name.startswith("graph.")
    }), "vectors of 5 numbers, and its tower of 3"),
])  # fmt: skip
def test_what_is_damaged_is_refused(graphed, tmp_path, damage, message):
    graphed.write(TOWER, tmp_path)
    damage(tmp_path)
    with pytest.raises(MillisError) as error:
        read(tmp_path)
    assert message in str(error.value)
