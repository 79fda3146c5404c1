import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from millis.errors import MillisError
from millis.serving.cascade_threshold import MOST, NEVER, Point, Validation, choose, describe, points

# Four texts of label 1. The fast member is wrong where it is least sure; the accurate one is wrong on the third.
FOUND = Validation(
    confidence=np.array([0.9, 0.4, 0.7, 0.6]),
    fast=np.array([1, 0, 1, 1]),
    accurate=np.array([1, 1, 0, 1]),
    fast_ms=np.full(4, 1.0),
    accurate_ms=np.array([10.0, 10.0, 10.0, 30.0]),
)


def accuracy(predictions):
    return 100 * float((np.asarray(predictions) == 1).mean())


def by_hand():
    return points(FOUND, accuracy)


def test_points_by_hand():
    lowest, *_, never = by_hand()
    # At 0.4 the fast member answers all, 3 of 4 right, as the accurate one alone; every request takes 1 ms.
    assert lowest == Point(0.4, 100.0, 0.0, 1.0, 1.0)
    # Never: 3 of 4 right; 11, 11, 11 and 31 ms, of which the 99 % quantile is 11 + 0.97 · 20.
    assert never == Point(NEVER, 0.0, 0.0, 11.0, pytest.approx(30.4))
    second = by_hand()[1]
    # At 0.6 the second text alone goes on, and all four are right: 25 points better than the accurate member.
    assert (second.threshold, second.fast_share, second.quality_drop) == (0.6, 75.0, -25.0)


@pytest.mark.parametrize(
    ("limits", "threshold"),
    [
        ({"quality_drop": 0.5}, 0.4),  # all to the fast member: nothing is lost
        ({"quality_drop": -1}, 0.6),  # better than the accurate member by a point: the most that may stay fast
        ({"latency_p99_ms": 1.0}, 0.4),
        ({"latency_p50_ms": 1.0}, 0.6),  # half of the requests are fast with up to two unsure; the best of these
        ({"quality_drop": 0.5, "latency_p50_ms": 100}, 0.4),
    ],
)
def test_choices_by_hand(limits, threshold):
    assert choose(by_hand(), {"latency_p50_ms": None, **limits}).threshold == threshold


def test_no_point_meets_the_limits_and_the_nearest_is_named():
    message = (
        r"no threshold keeps p99 ≤ 0.5 ms on the validation split. The nearest is threshold 0.400: on validation the "
        r"fast member answers 100 %, quality drops by 0.0 points; p50 about 1.00 ms, p99 about 1.00 ms. Allow"
    )
    with pytest.raises(MillisError, match=message):
        choose(by_hand(), {"latency_p99_ms": 0.5})
    with pytest.raises(
        MillisError, match=r"quality drop ≤ -30 points and p50 ≤ 2 ms .* The nearest is threshold 0.600"
    ):
        choose(by_hand(), {"quality_drop": -30, "latency_p50_ms": 2})


def test_no_limit_at_all():
    with pytest.raises(
        MillisError, match=r"threshold needs a limit: give one of cascade.quality_drop, cascade.latency_p50"
    ):
        choose(by_hand(), {"quality_drop": None, "latency_p50_ms": None})


@given(seed=st.integers(0, 10_000), count=st.integers(1, 40))
def test_a_lower_threshold_is_never_slower(seed, count):
    generator = np.random.default_rng(seed)
    found = Validation(
        generator.random(count), generator.integers(0, 2, count), generator.integers(0, 2, count),
        generator.random(count), generator.random(count),
    )  # fmt: skip
    made = points(found, accuracy)
    assert (made[0].fast_share, made[-1].fast_share, made[-1].quality_drop) == (100, 0, 0)
    for name in ("fast_share", "latency_p50_ms", "latency_p99_ms"):
        steps = np.diff([getattr(point, name) for point in made])
        assert (steps <= 1e-9).all() if name == "fast_share" else (steps >= -1e-9).all()
    assert choose(made, {"quality_drop": 0}).quality_drop <= 0


def test_of_many_candidates_some_are_tried():
    many = Validation(np.linspace(0.1, 1, 2000), *(np.ones(2000) for _ in range(4)))
    made = points(many, accuracy)
    assert len(made) == MOST + 1
    assert (made[0].threshold, made[-2].threshold) == (0.1, 1.0)


def test_a_point_in_words():
    assert describe(Point(0.875, 71.4, 0.25, 0.123, 4.5)) == (
        "threshold 0.875: on validation the fast member answers 71 %, quality drops by 0.2 points; p50 about 0.123 ms, "
        "p99 about 4.50 ms"
    )
