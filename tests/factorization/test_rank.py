"""Rank rules by hand."""

import numpy as np
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


@pytest.mark.parametrize(
    ("target", "steps", "share"), [(1.25, 16, 12 / 16), (2.0, 16, 6 / 16), (2.0, 8, 3 / 8), (3.5, 16, 1 / 16)]
)
def test_the_largest_share_that_is_fast_enough(target, steps, share):
    """The model takes 0.2 + 0.8 share of its time: it is 1.25 times as fast at 0.75, twice at 0.375, 3.5 at 0.107."""
    asked = []

    def speedup(rule):
        asked.append(rule.ratio)
        return 1 / (0.2 + 0.8 * rule.ratio) + 1e-9

    assert Latency(target, steps).choose(speedup) == Ratio(share)
    assert len(asked) <= 1 + np.log2(steps)


@given(target=st.floats(1.01, 4), steps=st.integers(2, 40))
def test_bisection_finds_what_trying_every_share_finds(target, steps):
    def speedup(rule):
        return 1 / (0.2 + 0.8 * rule.ratio)

    shares = [step / steps for step in range(1, steps) if speedup(Ratio(step / steps)) >= target]
    if shares:
        assert Latency(target, steps).choose(speedup) == Ratio(max(shares))
    else:
        with pytest.raises(MillisError, match="is out of reach: with 1/"):
            Latency(target, steps).choose(speedup)


def test_only_energy_waits_for_the_weights():
    rules = [Ratio(0.5), Fixed(4), Latency(1.5), Energy(0.9)]
    assert [rule.needs_weights for rule in rules] == [False, False, False, True]
    assert [rule.describe() for rule in rules] == ["0.5", "r4", "1.5x", "energy 0.9"]


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
        Latency(2.0).choose(lambda _: 1.25)
    assert str(error.value) == (
        "factorization.rank.target_speedup=2 is out of reach: with 1/16 of the weights the model is 1.25 times as "
        "fast. Ask for less, or cut layers as well"
    )


def test_a_target_that_is_none():
    with pytest.raises(MillisError, match=r"^factorization\.rank\.target_speedup=1: expected above 1, such as 1\.5;"):
        Latency(1)
    with pytest.raises(MillisError, match=r"^factorization\.rank\.steps=1: expected at least 2"):
        Latency(2.0, steps=1)
    with pytest.raises(MillisError, match=r"^a rank by latency has to be measured first"):
        Latency(2.0)(9, 9, None)
