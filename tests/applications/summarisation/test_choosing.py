"""Maximal marginal relevance by hand."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from millis.applications.summarisation.choosing import leading, marginal, standardised

EAST, NORTH = (1.0, 0.0), (0.0, 1.0)


def test_the_best_are_taken_in_the_order_of_the_text():
    assert marginal(np.array([1, 4, 2, 3], "f4"), np.eye(4, dtype="f4"), 2, 1.0) == [1, 3]


def test_what_repeats_is_passed_over():
    vectors = np.array([EAST, EAST, NORTH], "f4")
    worth = np.array([3, 2.9, 2], "f4")
    assert marginal(worth, vectors, 2, 1.0) == [0, 1]
    # In deviations 0.81, 0.59, -1.40. Beside the first, half of 0.59 less half of cos 1 is -0.2, of -1.40 less 0 -0.7;
    # with a share of 0.2 they are 0.12 - 0.8 and -0.28 - 0.
    assert marginal(worth, vectors, 2, 0.5) == [0, 1]
    assert marginal(worth, vectors, 2, 0.2) == [0, 2]


def test_the_first_ones_lead():
    assert leading(5, 2) == [0, 1]
    assert leading(1, 3) == [0]


def test_equal_values_deviate_by_nothing():
    np.testing.assert_array_equal(standardised(np.full(3, 7, "f4")), np.zeros(3))
    np.testing.assert_allclose(standardised(np.array([1, 3], "f4")), [-1, 1])


@settings(max_examples=40, deadline=None)
@given(st.integers(1, 12), st.integers(1, 15), st.floats(0, 1), st.integers(0, 9999))
def test_as_many_as_asked_each_once_in_order(count, most, share, seed):
    rng = np.random.default_rng(seed)
    vectors = rng.normal(size=(count, 3)).astype("f4")
    found = marginal(rng.normal(size=count).astype("f4"), vectors, most, share)
    assert found == sorted(set(found))
    assert len(found) == min(count, most)


@pytest.mark.parametrize("share", [0.3, 1.0])
def test_other_units_of_worth_change_nothing(share):
    rng = np.random.default_rng(0)
    worth, vectors = rng.normal(size=9).astype("f4"), rng.normal(size=(9, 4)).astype("f4")
    assert marginal(worth, vectors, 4, share) == marginal(10 * worth + 3, vectors, 4, share)
