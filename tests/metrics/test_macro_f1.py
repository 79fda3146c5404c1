"""The mean of the classes' F1 scores."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.metrics import f1_score

from millis.metrics.contract import plain
from millis.metrics.macro_f1 import MacroF1

PAIRS = st.lists(st.tuples(st.integers(0, 6), st.integers(0, 6)), min_size=1, max_size=60)


def test_the_mean_is_over_classes_seen_in_either_list() -> None:
    # Class 0: precision 2/2, recall 2/3, F1 = 4/5. Class 1: precision 1/2, recall 1/2, F1 = 1/2.
    # Class 2: in neither list, left out. Class 3: predicted once, never true, F1 = 0.
    predictions, references = np.array([0, 0, 1, 1, 3]), np.array([0, 0, 0, 1, 1])
    assert plain(MacroF1(classes=4), predictions, references) == pytest.approx(100 * (4 / 5 + 1 / 2 + 0) / 3)


@given(PAIRS)
def test_it_agrees_with_scikit_learn(pairs: list[tuple[int, int]]) -> None:
    predictions, references = np.array(pairs).T
    expected = 100 * f1_score(references, predictions, average="macro", zero_division=0)
    np.testing.assert_allclose(plain(MacroF1(7), predictions, references), expected, atol=1e-9)
