"""Matthews correlation: two classes by hand, more against scikit-learn."""

import warnings
from math import sqrt

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.metrics import matthews_corrcoef

from millis.metrics.contract import plain
from millis.metrics.matthews import Matthews

PAIRS = st.lists(st.tuples(st.integers(0, 6), st.integers(0, 6)), min_size=1, max_size=60)


def test_two_classes_by_the_textbook_formula() -> None:
    # TP 2, TN 1, FP 1, FN 1: (2·1 - 1·1) / sqrt((2+1)(2+1)(1+1)(1+1)) = 1 / 6.
    predictions, references = np.array([1, 1, 0, 1, 0]), np.array([1, 1, 0, 0, 1])
    assert plain(Matthews(classes=2), predictions, references) == pytest.approx(100 * 1 / sqrt(36))


def test_an_answer_that_is_always_the_same_is_worth_nothing() -> None:
    assert plain(Matthews(2), np.array([1, 1, 1]), np.array([1, 1, 0])) == 0.0


def test_all_wrong_of_two_classes_is_minus_100() -> None:
    assert plain(Matthews(2), np.array([0, 1, 0, 1]), np.array([1, 0, 1, 0])) == pytest.approx(-100)


def test_a_large_split_does_not_overflow() -> None:
    # N = 200,000, half of each class, all right: N⁴ = 1.6e21 is beyond the whole numbers of 64 bits.
    references = np.tile([0, 1], 100_000)
    assert plain(Matthews(2), references, references) == pytest.approx(100)


@given(PAIRS)
def test_it_agrees_with_scikit_learn(pairs: list[tuple[int, int]]) -> None:
    predictions, references = np.array(pairs).T
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # scikit-learn warns of lists that hold a single label
        expected = 100 * matthews_corrcoef(references, predictions)
    np.testing.assert_allclose(plain(Matthews(7), predictions, references), expected, atol=1e-9)
