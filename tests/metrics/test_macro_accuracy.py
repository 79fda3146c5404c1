"""The mean of the classes' recalls."""

import warnings

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.metrics import balanced_accuracy_score

from millis.metrics.contract import plain
from millis.metrics.macro_accuracy import MacroAccuracy

PAIRS = st.lists(st.tuples(st.integers(0, 6), st.integers(0, 6)), min_size=1, max_size=60)


def test_a_rare_class_counts_like_a_common_one() -> None:
    # Class 0: 3 of 4 recalled, class 2: 0 of 1; class 1 is predicted but never true, so it has no recall.
    value = plain(MacroAccuracy(classes=3), np.array([0, 0, 0, 1, 1]), np.array([0, 0, 0, 0, 2]))
    assert value == pytest.approx((75 + 0) / 2)


@given(PAIRS)
def test_it_agrees_with_scikit_learn(pairs: list[tuple[int, int]]) -> None:
    predictions, references = np.array(pairs).T
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # scikit-learn warns of classes that are predicted but never true
        expected = 100 * balanced_accuracy_score(references, predictions)
    np.testing.assert_allclose(plain(MacroAccuracy(7), predictions, references), expected)
