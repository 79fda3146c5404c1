"""Schedule: how sparsity grows with training steps.

    step      0 ─── warm-up ───► begin ─── one update every interval ───► end ─── cool-down ───► total
    sparsity       0                       final · ramp(t)                           final

with t = (step - begin) / (end - begin). A duration is a number of optimizer steps (`100`), epochs (`2 epochs`, `2ep`,
`0.5 epochs`), or a share of all steps (`10%`), so that one recipe serves data sets of every size.
"""

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol, TypeAlias

from millis.errors import MillisError

Duration: TypeAlias = int | str

FORM = re.compile(r"(\d+(?:\.\d+)?)\s*(%|steps?|ep|epochs?)")


@dataclass(frozen=True)
class Plan:
    """A schedule in steps, of a training whose length is known.

    Args:
        begin: Steps done when sparsity starts to grow.
        end: Steps done when it is final.
        interval: Steps between updates.
        total: Steps of the whole training.
        ramp: t in [0, 1] → share of the final sparsity, from ramp(0) to ramp(1) = 1.
    """

    begin: int
    end: int
    interval: int
    total: int
    ramp: Callable[[float], float]

    def share(self, step: int) -> float:
        """Share of the final sparsity once `step` steps are done."""
        if step < self.begin:
            return 0.0
        return self.ramp((step - self.begin) / (self.end - self.begin)) if step < self.end else 1.0

    def is_due(self, step: int) -> bool:
        """Whether masks change once `step` steps are done."""
        on_the_way = self.begin <= step < self.end and (step - self.begin) % self.interval == 0
        return step == self.end or (on_the_way and self.share(step) > 0)


class Schedule(Protocol):
    """Makes a plan once the length of training is known."""

    def plan(self, total: int, epoch: int) -> Plan:
        """The plan.

        Args:
            total: Optimizer steps of the training.
            epoch: Of an epoch.

        Raises:
            MillisError: it is longer than the training.
        """
        ...


@dataclass(frozen=True)
class OneShot:
    """All at once after the warm-up; the rest of training recovers.

    Args:
        warmup: Training before it.
    """

    warmup: Duration = 0

    def __post_init__(self) -> None:
        in_steps("warmup", self.warmup, 1, 1)

    def plan(self, total: int, epoch: int) -> Plan:
        """Sparsity is final from the end of the warm-up on."""
        begin = in_steps("warmup", self.warmup, total, epoch)
        if begin > total:
            raise _too_long(total, epoch, 0, warmup=self.warmup)
        return Plan(begin, begin, 1, total, ramp=lambda t: 1.0)


@dataclass(frozen=True)
class Linear:
    """In proportion to the steps since the warm-up.

    Args:
        warmup: Training before the first weight goes.
        cooldown: Training with final masks, in which the best checkpoint is looked for.
        interval: Between updates.
    """

    warmup: Duration = 0
    cooldown: Duration = 0
    interval: Duration = 1

    def __post_init__(self) -> None:
        _check(self.warmup, self.cooldown, self.interval)

    def plan(self, total: int, epoch: int) -> Plan:
        """ramp(t) = t."""
        return _ramped(self.warmup, self.cooldown, self.interval, total, epoch, lambda t: t)


@dataclass(frozen=True)
class Cubic:
    """Fast at first, while much is redundant, then ever more slowly (Zhu & Gupta 2017, 1710.01878, eq. 1 with s_i = 0).

        s_t = s_f + (s_i - s_f) (1 - (t - t_0) / (n Δt))³

    Args:
        warmup: Training before the first weight goes; t_0.
        cooldown: Training with final masks, in which the best checkpoint is looked for.
        interval: Between updates; Δt.
    """

    warmup: Duration = 0
    cooldown: Duration = 0
    interval: Duration = 1

    def __post_init__(self) -> None:
        _check(self.warmup, self.cooldown, self.interval)

    def plan(self, total: int, epoch: int) -> Plan:
        """ramp(t) = 1 - (1 - t)³."""
        return _ramped(self.warmup, self.cooldown, self.interval, total, epoch, lambda t: 1 - (1 - t) ** 3)


def in_steps(name: str, duration: Duration, total: int, epoch: int) -> int:
    """A duration in steps, to the nearest.

    Args:
        name: Of the setting, for the message.
        total: Steps of the training.
        epoch: Of an epoch.

    Raises:
        MillisError: it is no duration.
    """
    found = FORM.fullmatch(duration.strip()) if isinstance(duration, str) else None
    if isinstance(duration, int) and not isinstance(duration, bool) and duration >= 0:
        return duration
    if found is None or (found[2] == "%" and float(found[1]) > 100):
        raise MillisError(
            f"pruning.schedule.{name}={duration!r} is no duration; expected a whole number of steps such as 100, or "
            "'100 steps', '2 epochs', '10%' of all steps"
        )
    unit = {"%": total / 100, "s": 1, "e": epoch}[found[2][0]]
    return round(float(found[1]) * unit)


def _check(warmup: Duration, cooldown: Duration, interval: Duration) -> None:
    for name, duration in (("warmup", warmup), ("cooldown", cooldown), ("interval", interval)):
        in_steps(name, duration, 1, 1)


def _ramped(
    warmup: Duration, cooldown: Duration, interval: Duration, total: int, epoch: int, ramp: Callable[[float], float]
) -> Plan:
    begin = in_steps("warmup", warmup, total, epoch)
    end = total - in_steps("cooldown", cooldown, total, epoch)
    if end <= begin:
        raise _too_long(total, epoch, 1, warmup=warmup, cooldown=cooldown)
    return Plan(begin, end, max(1, in_steps("interval", interval, total, epoch)), total, ramp)


def _too_long(total: int, epoch: int, ramp: int, **durations: Duration) -> MillisError:
    parts = ", ".join(f"{name} {value!r} = {in_steps(name, value, total, epoch)}" for name, value in durations.items())
    needed = sum(in_steps(name, value, total, epoch) for name, value in durations.items()) + ramp
    return MillisError(
        f"pruning.schedule needs at least {needed} steps ({parts}), but training has {total}, {epoch} an epoch: "
        f"shorten {' or '.join(durations)}, or raise trainer.max_epochs"
    )
