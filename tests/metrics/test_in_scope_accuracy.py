"""Accuracy where the true label is one of the intents; label 2 is out of scope here."""

import math

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from sklearn.metrics import accuracy_score

from millis.errors import MillisError
from millis.metrics.contract import plain
from millis.metrics.in_scope_accuracy import InScopeAccuracy

PAIRS = st.lists(st.tuples(st.integers(0, 2), st.integers(0, 2)), min_size=1, max_size=60)


def test_out_of_scope_items_do_not_count_either_way() -> None:
    # In scope: the first four, of which two are right and one was taken for out of scope. The last two: out of scope.
    predictions, references = np.array([0, 1, 2, 0, 2, 1]), np.array([0, 1, 1, 1, 2, 2])
    assert plain(InScopeAccuracy(out_of_scope=2), predictions, references) == 50.0


def test_it_is_undefined_where_nothing_is_in_scope() -> None:
    assert math.isnan(plain(InScopeAccuracy(2), np.array([0, 2]), np.array([2, 2])))


@given(PAIRS)
def test_it_agrees_with_scikit_learn(pairs: list[tuple[int, int]]) -> None:
    predictions, references = np.array(pairs).T
    assume((references != 2).any())
    expected = 100 * accuracy_score(references, predictions, sample_weight=references != 2)
    np.testing.assert_allclose(plain(InScopeAccuracy(2), predictions, references), expected)


@pytest.mark.parametrize("name", ["oos", "out_of_scope"])
def test_the_label_is_found_by_its_name(name: str) -> None:
    assert InScopeAccuracy.of(["book", name, "cancel"]) == InScopeAccuracy(out_of_scope=1)


def test_labels_without_an_out_of_scope_one_are_named() -> None:
    with pytest.raises(MillisError) as error:
        InScopeAccuracy.of(["a", "b", "c", "d", "e", "f", "g"])
    assert str(error.value) == (
        "got the labels [a, b, c, d, e and 2 more]; this metric needs one named 'oos' or 'out_of_scope'. "
        "Rename the out-of-scope label in the data, or choose another metric such as 'accuracy'"
    )
