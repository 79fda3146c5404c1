"""Schedules by hand, durations in every unit, and what is too long."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from millis.errors import MillisError
from millis.pruning.schedule import Cubic, Linear, OneShot, in_steps


def shares(plan):
    return [plan.share(step) for step in range(plan.total + 1)]


def due(plan):
    return [step for step in range(plan.total + 1) if plan.is_due(step)]


def test_cubic_by_hand():
    # begin 2, end 10, t = (step - 2) / 8: at 4 t = 1/4, 1 - (3/4)³ = 37/64; at 6 1 - 1/8; at 8 1 - 1/64.
    plan = Cubic(warmup=2, cooldown=2, interval=2).plan(total=12, epoch=4)
    assert [plan.share(step) for step in (0, 1, 2, 4, 6, 8, 10, 12)] == [0, 0, 0, 37 / 64, 7 / 8, 63 / 64, 1, 1]
    assert due(plan) == [4, 6, 8, 10]


def test_linear_by_hand():
    plan = Linear(warmup=1, cooldown=1, interval=3).plan(total=10, epoch=5)
    assert shares(plan) == pytest.approx([0, 0, *[step / 8 for step in range(1, 9)], 1])
    assert due(plan) == [4, 7, 9]  # the end is an update whatever the interval


def test_one_shot_by_hand():
    plan = OneShot(warmup=3).plan(total=5, epoch=5)
    assert shares(plan) == [0, 0, 0, 1, 1, 1]
    assert due(plan) == [3]
    assert due(OneShot().plan(5, 5)) == [0]
    assert due(OneShot("100%").plan(5, 5)) == [5]


@pytest.mark.parametrize(
    ("duration", "steps"),
    [
        (7, 7), ("7", None), ("7 steps", 7), ("1 step", 1), ("2 epochs", 100), ("2ep", 100), ("1 epoch", 50),
        ("0.5 epochs", 25), ("10%", 20), ("12.5 %", 25), ("100%", 200), ("101%", None), (-1, None), (2.5, None),
        (True, None), ("ten", None), (None, None),
    ],
)  # fmt: skip
def test_durations(duration, steps):
    if steps is not None:
        assert in_steps("warmup", duration, total=200, epoch=50) == steps
        return
    with pytest.raises(MillisError) as caught:
        OneShot(warmup=duration)
    assert str(caught.value) == (
        f"pruning.schedule.warmup={duration!r} is no duration; expected a whole number of steps such as 100, or '100 "
        "steps', '2 epochs', '10%' of all steps"
    )


@pytest.mark.parametrize("kind", [Linear, Cubic])
@pytest.mark.parametrize("name", ["warmup", "cooldown", "interval"])
def test_every_duration_is_checked_when_it_is_given(kind, name):
    with pytest.raises(MillisError, match=f"pruning.schedule.{name}='soon' is no duration"):
        kind(**{name: "soon"})


def test_a_schedule_longer_than_training_is_refused():
    with pytest.raises(MillisError) as caught:
        Cubic(warmup="2 epochs", cooldown="30%").plan(total=120, epoch=50)
    assert str(caught.value) == (
        "pruning.schedule needs at least 137 steps (warmup '2 epochs' = 100, cooldown '30%' = 36), but training has "
        "120, 50 an epoch: shorten warmup or cooldown, or raise trainer.max_epochs"
    )
    with pytest.raises(MillisError) as caught:
        OneShot(warmup=121).plan(total=120, epoch=50)
    assert str(caught.value) == (
        "pruning.schedule needs at least 121 steps (warmup 121 = 121), but training has 120, 50 an epoch: shorten "
        "warmup, or raise trainer.max_epochs"
    )


@given(
    kind=st.sampled_from([Linear, Cubic]),
    total=st.integers(1, 200),
    warmup=st.integers(0, 60),
    cooldown=st.integers(0, 60),
    interval=st.integers(0, 30),
)
def test_sparsity_never_falls_and_is_final_at_the_end(kind, total, warmup, cooldown, interval):
    schedule = kind(warmup, cooldown, interval)
    if warmup + cooldown >= total:
        with pytest.raises(MillisError):
            schedule.plan(total, 10)
        return
    plan = schedule.plan(total, 10)
    found = shares(plan)
    assert found == sorted(found)
    assert all(share == 0 for share in found[: warmup + 1])
    assert all(share == 1 for share in found[total - cooldown :])
    assert due(plan)[-1] == total - cooldown
