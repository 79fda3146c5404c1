"""Three of four right is 75 %."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from sklearn.metrics import accuracy_score

from millis.metrics.accuracy import Accuracy
from millis.metrics.contract import plain

PAIRS = st.lists(st.tuples(st.integers(0, 6), st.integers(0, 6)), min_size=1, max_size=60)


def test_three_of_four_is_75_percent() -> None:
    assert plain(Accuracy(), np.array([0, 1, 2, 2]), np.array([0, 1, 2, 0])) == 75.0


@given(PAIRS)
def test_it_agrees_with_scikit_learn(pairs: list[tuple[int, int]]) -> None:
    predictions, references = np.array(pairs).T
    np.testing.assert_allclose(
        plain(Accuracy(), predictions, references), 100 * accuracy_score(references, predictions)
    )
