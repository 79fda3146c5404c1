"""Weights over progress, by hand."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from millis.distillation.weight import Cosine, Linear, check, is_share, is_zero, rest
from millis.errors import MillisError


def test_linear_by_hand():
    weight = Linear(2.0, 1.0)
    assert [weight(progress) for progress in (0, 0.25, 1)] == [2.0, 1.75, 1.0]


def test_cosine_by_hand():
    # (1 - cos(π p)) / 2 is 0, 1/2 and 1 at 0, 1/2, 1, and (1 - √½) / 2 at 1/4.
    weight = Cosine(0.0, 4.0)
    expected = [0.0, 4 * (1 - math.sqrt(0.5)) / 2, 2.0, 4.0]
    assert [weight(progress) for progress in (0, 0.25, 0.5, 1)] == pytest.approx(expected)


@given(st.floats(0, 9), st.floats(0, 9), st.floats(0, 1))
def test_a_schedule_stays_between_its_ends(start, end, progress):
    for weight in (Linear(start, end)(progress), Cosine(start, end)(progress)):
        assert min(start, end) - 1e-9 <= weight <= max(start, end) + 1e-9


def test_what_never_counts():
    assert is_zero(0)
    assert is_zero(Linear(0, 0))
    assert not any(map(is_zero, (0.1, Linear(0, 1), Linear(1, 0), Cosine(0, 1))))


@pytest.mark.parametrize("wrong", [-0.5, math.nan, math.inf, "1"])
def test_weights_without_sense(wrong):
    with pytest.raises(MillisError) as error:
        check(wrong)
    assert str(error.value) == (
        f"distillation: weight={wrong!r} of a term: expected a number from 0 up, or a schedule of "
        "millis.distillation.weight"
    )
    with pytest.raises(MillisError, match="end="):
        Linear(0.0, wrong)


def test_what_a_share_leaves():
    assert rest(0.25) == 0.75
    assert [rest(Linear(1.0, 0.5))(progress) for progress in (0, 0.5, 1)] == [0.0, 0.25, 0.5]
    assert is_zero(rest(Linear(1.0, 1.0))) and not is_zero(rest(Linear(1.0, 0.5)))


def test_shares_lie_between_nothing_and_all():
    assert all(map(is_share, (0, 1, 0.3, Linear(1.0, 0.0), Cosine(0.2, 1.0))))
    assert not any(map(is_share, (-0.1, 1.1, math.nan, "0.5", Linear(0.0, 1.5), Linear(2.0, 0.0))))
