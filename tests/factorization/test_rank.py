"""Rank rules by hand."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from millis.errors import MillisError
from millis.factorization.rank import Energy, Fixed, Latency, Ratio
from millis.models.low_rank import break_even


def test_half_the_weights_by_hand():
    """384 x 384: 147,456 weights; rank 96 holds 96 * 768 = 73,728. 1536 x 384: 589,824; 153 * 1920 = 293,760."""
    assert Ratio(0.5)(384, 384, None) == 96
    assert Ratio(0.5)(1536, 384, None) == 153


def test_a_whole_number_is_not_lost_to_rounding():
    """break-even 30: 0.7 * 30 is 20.999999999999996 in floating point."""
    assert break_even(60, 60) == 30
    assert Ratio(0.7)(60, 60, None) == 21


@given(st.integers(2, 400), st.integers(2, 400), st.floats(0.01, 0.99))
def test_ratio_is_the_largest_rank_that_fits(rows, columns, ratio):
    rank = Ratio(ratio)(rows, columns, None)
    allowed = ratio * rows * columns * (1 + 1e-6)
    assert rank == 1 or rank * (rows + columns) <= allowed
    assert (rank + 1) * (rows + columns) > ratio * rows * columns
    assert rank < break_even(rows, columns) or rank == 1


def test_energy_by_hand():
    """Squares 9, 4, 1, 1, 1: shares 9/16, 13/16, 14/16, 15/16, 1."""
    values = torch.tensor([3.0, 2.0, 1.0, 1.0, 1.0])
    ranks = {energy: Energy(energy)(5, 5, values) for energy in (0.1, 9 / 16, 0.6, 13 / 16, 0.85, 15 / 16, 1.0)}
    assert list(ranks.values()) == [1, 1, 2, 2, 3, 4, 5]


def test_energy_of_one_needs_no_more_than_the_rank_of_the_matrix():
    assert Energy(1.0)(3, 3, torch.tensor([2.0, 1.0, 0.0])) == 2


def test_the_largest_rank_that_is_fast_enough():
    table = {16: 1.0, 32: 1.4, 64: 1.3, 128: 2.0}
    assert [Latency(table, target)(9, 9, None) for target in (1.0, 1.2, 1.35, 1.9, 2.0, 9.0)] == [
        16, 16, 64, 64, 128, 128
    ]  # fmt: skip


def test_only_energy_waits_for_the_weights():
    rules = [Ratio(0.5), Fixed(4), Latency({4: 1.0}, 2.0), Energy(0.9)]
    assert [rule.needs_weights for rule in rules] == [False, False, False, True]
    assert [rule.describe() for rule in rules] == ["0.5", "r4", "r4", "energy 0.9"]


@pytest.mark.parametrize("ratio", [0.0, 1.0, -0.5, 1.5])
def test_a_ratio_that_keeps_nothing_or_all(ratio):
    with pytest.raises(MillisError) as error:
        Ratio(ratio)
    assert str(error.value) == (
        f"factorization.rank.ratio={ratio}: expected a share of the weights above 0 and below 1 (0.5 halves a matrix; "
        "factorization=none keeps it)"
    )


@pytest.mark.parametrize("energy", [0.0, -0.1, 1.01])
def test_an_energy_that_cannot_be(energy):
    with pytest.raises(MillisError) as error:
        Energy(energy)
    assert str(error.value) == (
        f"factorization.rank.energy={energy}: expected a share of the squared singular values above 0 and up to 1; 0.9 "
        "is usual"
    )


def test_a_rank_below_one():
    with pytest.raises(MillisError, match=r"^factorization\.rank\.rank=0: expected at least 1$"):
        Fixed(0)


def test_a_target_that_no_rank_keeps():
    with pytest.raises(MillisError) as error:
        Latency({32: 1.4, 16: 1.25}, 1.0)
    assert str(error.value) == (
        "factorization.rank.target_ms=1.0 is out of reach: the fastest rank measured, 16, takes 1.25 ms. Allow more, "
        "measure smaller ranks, or cut layers as well"
    )
    with pytest.raises(MillisError, match="latency_ms is empty"):
        Latency({}, 1.0)
