"""Recall of the out-of-scope label; label 2 is out of scope here."""

import math

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from sklearn.metrics import recall_score

from millis.errors import MillisError
from millis.metrics.contract import plain
from millis.metrics.out_of_scope_recall import OutOfScopeRecall

PAIRS = st.lists(st.tuples(st.integers(0, 2), st.integers(0, 2)), min_size=1, max_size=60)


def test_one_of_four_recognised_is_25_percent() -> None:
    # The first item is a false alarm: it costs in-scope accuracy, not recall.
    predictions, references = np.array([2, 2, 0, 1, 1]), np.array([0, 2, 2, 2, 2])
    assert plain(OutOfScopeRecall(out_of_scope=2), predictions, references) == 25.0


def test_it_is_undefined_where_nothing_is_out_of_scope() -> None:
    assert math.isnan(plain(OutOfScopeRecall(2), np.array([0, 2]), np.array([0, 1])))


@given(PAIRS)
def test_it_agrees_with_scikit_learn(pairs: list[tuple[int, int]]) -> None:
    predictions, references = np.array(pairs).T
    assume((references == 2).any())
    expected = 100 * recall_score(references == 2, predictions == 2)
    np.testing.assert_allclose(plain(OutOfScopeRecall(2), predictions, references), expected)


def test_labels_without_an_out_of_scope_one_are_refused() -> None:
    with pytest.raises(MillisError, match="needs one named 'oos' or 'out_of_scope'"):
        OutOfScopeRecall.of(["positive", "negative"])
