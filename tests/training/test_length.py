"""How long a training takes, by hand."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from millis.errors import MillisError
from millis.training.length import Length


@pytest.mark.parametrize(
    ("rows", "epochs"),
    [
        (2_490, 12),  # 78 steps an epoch: 1000 steps are 12.9 epochs, of which 12 are allowed
        (4_907, 7),  # 154: 6.5, rounded up
        (67_349, 2),  # 2105: less than one, and two are the least
        (0, 12),
    ],
)
def test_small_sets_get_more_epochs(rows, epochs):
    assert Length(steps=1000, least=2, most=12).epochs(rows, batch_size=32) == epochs


@given(st.integers(1, 10**6), st.integers(1, 512), st.integers(1, 5), st.integers(5, 50))
def test_epochs_stay_within_bounds_and_fall_with_rows(rows, batch_size, least, most):
    length = Length(700, least, most)
    epochs = length.epochs(rows, batch_size)
    assert least <= epochs <= most
    assert length.epochs(rows + batch_size, batch_size) <= epochs
    assert epochs == most or epochs * rows >= 700 * batch_size


@pytest.mark.parametrize("wrong", [{"steps": 0}, {"least": 0}, {"least": 5, "most": 4}])
def test_lengths_without_sense(wrong):
    with pytest.raises(MillisError, match="expected at least 1 step and 1 <= least <= most"):
        Length(**wrong)
