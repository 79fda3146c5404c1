"""The rule of rungs, worked by hand."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from millis.errors import MillisError
from millis.sweep.frontier import non_dominated
from millis.sweep.rungs import Course, Rungs, ranked

ALONE = Rungs(kept=1.0)  # extrapolation without halving


def course(name, ms, *reached, final=None, kind="transformer"):
    """A training that had the qualities `reached` at 1/4 and 1/2."""
    rungs = list(zip((0.25, 0.5), reached, strict=False))
    return Course(name, f"weights of {name}", kind, {"latency_p50_ms": ms}, rungs, final)


# Gains from 1/4 on: 10, 12 and 14. Their mean is 12, their standard deviation 2, and with t(0.975, 2) = 4.3027 the
# upper end of the prediction interval is 12 + 4.3027 · 2 · √(1 + 1/3) = 21.937.
ENDED = [
    course("small", 1.0, 70, 76, final=80),
    course("middle", 2.0, 73, 80, final=85),
    course("large", 4.0, 76, 85, final=90),
]


def test_what_a_training_may_end_with_is_the_upper_end_of_what_its_kind_gained():
    assert ALONE.foretold(course("new", 3.0, 60), ENDED) == pytest.approx(60 + 21.937, abs=1e-3)
    assert ALONE.foretold(course("new", 3.0, 60, 70), ENDED) == pytest.approx(
        70 + 4.667 + 4.3027 * 0.57735 * 1.1547, abs=1e-3
    )


def test_what_cannot_pass_a_finished_one_that_costs_no_more_is_ended():
    reason = ALONE.verdict(course("new", 2.0, 63), ENDED)
    assert reason == "stopped at 1/4: dominated by middle, whose 85.00 it would not pass: 84.94 at most is foretold"
    assert ALONE.verdict(course("new", 2.0, 64), ENDED) is None, "85.94 is more than 85"
    assert ALONE.verdict(course("new", 1.9, 63), ENDED) is None, "of those that cost no more the best has 80"
    assert ALONE.verdict(course("new", 0.9, 10), ENDED) is None, "nothing costs less"


def test_kinds_do_not_foretell_each_other_and_few_foretell_nothing():
    assert ALONE.foretold(course("new", 2.0, 10, kind="bilstm"), ENDED) is None
    assert ALONE.foretold(course("new", 2.0, 10), ENDED[:2]) is None
    unfinished = [*ENDED[:2], course("running", 2.0, 70)]
    assert ALONE.foretold(course("new", 2.0, 10), unfinished) is None
    assert Rungs(least=2).foretold(course("new", 2.0, 10), ENDED[:2]) is not None


def test_recipes_that_share_a_training_are_one_curve():
    twin = Course("small int8", "weights of small", "transformer", {"latency_p50_ms": 0.5}, [(0.25, 70)], 80)
    assert ALONE.foretold(course("new", 2.0, 60), [ENDED[0], twin, ENDED[1]]) is None


def test_a_finished_one_of_any_kind_dominates():
    linear = Course("ngrams", "w", "ngrams", {"latency_p50_ms": 0.1}, (), 88)
    assert "dominated by ngrams" in ALONE.verdict(course("new", 2.0, 60), [*ENDED, linear])


def test_who_is_dominated_at_its_rung_and_among_the_last_is_ended():
    there = [course("a", 1.0, 70), course("b", 2.0, 60), course("c", 3.0, 80)]
    rule = Rungs(kept=0.5)
    # Fronts at 1/4: a (1 ms, 70) and c (3 ms, 80); then b (2 ms, 60) and the new one. Two of four are kept.
    assert rule.verdict(course("new", 2.5, 65), there) == (
        "stopped at 1/4: dominated by a there, and not among the first 50% of 4"
    )
    assert Rungs(kept=0.75).verdict(course("new", 2.5, 65), there) is None, "it adds more than b, so it is third"
    assert Rungs(kept=1.0).verdict(course("new", 2.5, 65), there) is None
    assert Rungs(kept=0.5, least=4).verdict(course("new", 2.5, 65), there) is None, "three are too few to judge by"


def test_who_may_pass_what_has_ended_is_not_ended_by_halving():
    # `middle` (2 ms, 73 at 1/4) dominates it there, and ended with 85; 66 + 21.9 may be more.
    assert Rungs(kept=0.1).verdict(course("new", 2.5, 66), ENDED) is None


def test_nobody_on_the_first_front_of_its_rung_is_ended_by_halving():
    there = [course(str(ms), ms, 70 + ms) for ms in range(1, 9)]
    assert Rungs(kept=0.1).verdict(course("new", 4.5, 74.5), there) is None


def test_only_who_was_judged_at_the_same_rung_counts():
    there = [course("a", 1.0, 70), course("b", 1.0, 71)]
    assert Rungs(kept=0.1).verdict(course("new", 2.0, 50, 55), there) is None


def test_objectives_may_be_many():
    small = Course("small", "s", "static", {"latency_p50_ms": 1.0, "size_bytes": 9.0}, [(0.25, 80)], 90)
    rule, other = Rungs(kept=0.1, least=2), replace(small, name="other", reached=[(0.25, 60)])
    for size, ends in ((9.0, True), (8.0, False)):
        new = Course("new", "n", "static", {"latency_p50_ms": 1.0, "size_bytes": size}, [(0.25, 70)])
        assert (rule.verdict(new, [small, other]) is not None) is ends


def test_fronts_come_in_turn_and_who_adds_most_comes_first():
    # Scaled by 4, up to (1.1, 1.1): (0, 4) adds 1/4 · 0.1, (1, 1) 3/4 · 3/4 and (4, 0) 0.1 · 1/4.
    costs = np.array([[2.0, 2.0], [0, 4], [1, 1], [4, 0], [4, 4]])
    assert ranked(costs) == [2, 1, 3, 0, 4]


@given(arrays.arrays(np.float64, (6, 2), elements=st.integers(0, 4).map(float)))
def test_no_rows_order_contradicts_dominance(costs):
    order = ranked(costs)
    assert sorted(order) == list(range(6))
    first = [row for row in order if non_dominated(costs)[row]]
    assert order[: len(first)] == first
    for place, row in enumerate(order):
        dominating = (costs <= costs[row]).all(axis=1) & (costs < costs[row]).any(axis=1)
        assert {*np.flatnonzero(dominating)} <= {*order[:place]}


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"shares": []}, r"study\.rungs\.shares=\[\]: expected shares of a training, rising, above 0 and up to 1"),
        ({"shares": [0.5, 0.25]}, r"study\.rungs\.shares=\[0\.5, 0\.25\]: expected .* such as \[0\.25,0\.5,1\]"),
        ({"shares": [0.5, 0.5]}, "rising"),
        ({"shares": [0, 0.5]}, "above 0"),
        ({"shares": [0.5, 1.5]}, "up to 1"),
        ({"kept": 0.0}, r"study\.rungs\.kept=0\.0: expected a share above 0, up to 1 \(halving ends none\)"),
        ({"kept": 1.1}, r"kept=1\.1"),
        ({"least": 1}, r"study\.rungs\.least=1: expected at least 2, for gains of one training have no spread"),
    ],
)
def test_what_makes_no_rungs(settings, message):
    with pytest.raises(MillisError, match=message):
        Rungs(**settings)
