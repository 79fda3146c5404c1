"""The nearest vectors by cosine."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from millis.data import vectors
from millis.data.vectors import Vectors
from millis.errors import MillisError

VECTORS = Vectors(np.array([[1, 0], [0, 1], [0.6, 0.8]], np.float32))


def test_vectors_of_a_model_that_diverged_are_refused():
    with pytest.raises(MillisError, match="got vectors that are no finite numbers: the model diverged, or its"):
        Vectors(np.eye(2, dtype=np.float32)).ranked(np.array([[np.nan, 1]], np.float32), 1)


@given(st.data(), st.integers(1, 12), st.integers(1, 4), st.integers(1, 4), st.integers(1, 30))
def test_ranked_is_the_order_of_all_cosines(data, entries, queries, width, most):
    numbers = st.integers(-3, 3)
    rows = st.lists(numbers, min_size=width, max_size=width).filter(any)
    values = np.array(data.draw(st.lists(rows, min_size=entries, max_size=entries)), np.float32)
    found = np.array(data.draw(st.lists(rows, min_size=queries, max_size=queries)), np.float32)
    values /= np.linalg.norm(values, axis=1, keepdims=True)
    places, cosines = Vectors(values).ranked(found, most)
    assert places.shape == cosines.shape == (queries, min(most, entries))
    for query, ours, near in zip(found, places, cosines, strict=True):
        every = [float(query @ value) / float(np.linalg.norm(query)) for value in values]
        assert len(set(ours.tolist())) == len(ours)
        np.testing.assert_allclose(near, sorted(every, reverse=True)[: len(ours)], atol=1e-5)
        np.testing.assert_allclose(near, [every[place] for place in ours], atol=1e-5)


def test_a_vector_of_no_length_is_near_nothing():
    _, cosines = VECTORS.ranked(np.zeros((1, 2), np.float32), 3)
    assert cosines.tolist() == [[0, 0, 0]]


def test_vectors_are_equal_by_what_they_hold():
    same, other = Vectors(VECTORS.values.copy()), Vectors(VECTORS.values[::-1].copy())
    assert same == VECTORS and hash(same) == hash(VECTORS) and repr(same) == repr(VECTORS)
    assert other != VECTORS and VECTORS.values.tolist() != VECTORS
    assert Vectors(np.eye(2, dtype=np.float32)) != Vectors(np.eye(2, dtype=np.float32).reshape(1, 4))
    assert Vectors(VECTORS.values.astype(np.float16).astype(np.float32)) == VECTORS, "as an artifact holds them"


def test_many_are_ranked_in_parts(monkeypatch):
    found = np.random.default_rng(0).normal(size=(7, 2)).astype(np.float32)
    whole = VECTORS.ranked(found, 2)
    monkeypatch.setattr(vectors, "TOGETHER", 3)
    for one, other in zip(VECTORS.ranked(found, 2), whole, strict=True):
        np.testing.assert_allclose(one, other, atol=1e-6)
