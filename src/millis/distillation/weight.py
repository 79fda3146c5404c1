"""Weights that change while a stage trains: functions of its progress in [0, 1].

A plain number is a constant weight. `Linear(1, 0)` lets a term fade out; `Linear(0, 1)` lets it in.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from millis.errors import MillisError

Weight = float | Callable[[float], float]
"""A number, or a function of the progress."""

LOOKED_AT = (0.0, 0.5, 1.0)  # where a schedule is read to tell what it is; those here go one way


@dataclass(frozen=True)
class Linear:
    """start + (end - start) · progress.

    Args:
        start, end: Weight at the first and after the last step, not negative.
    """

    start: float
    end: float

    def __post_init__(self) -> None:
        check(self.start, "start")
        check(self.end, "end")

    def __call__(self, progress: float) -> float:
        """The weight at `progress`."""
        return self.start + (self.end - self.start) * progress


@dataclass(frozen=True)
class Cosine(Linear):
    """start + (end - start) · (1 - cos(π · progress)) / 2: slow at both ends, fastest half-way."""

    def __call__(self, progress: float) -> float:
        """The weight at `progress`."""
        return super().__call__((1 - math.cos(math.pi * progress)) / 2)


@dataclass(frozen=True)
class Rest:
    """1 - share: what a share of the loss leaves to the rest."""

    share: Callable[[float], float]

    def __call__(self, progress: float) -> float:
        """The weight at `progress`."""
        return 1 - self.share(progress)


def rest(share: Weight) -> Weight:
    """1 - share."""
    return Rest(share) if callable(share) else 1 - share


@dataclass(frozen=True)
class Scaled:
    """factor · of."""

    of: Callable[[float], float]
    factor: float

    def __call__(self, progress: float) -> float:
        """The weight at `progress`."""
        return self.factor * self.of(progress)


def scaled(weight: Weight, factor: float) -> Weight:
    """factor · weight."""
    return Scaled(weight, factor) if callable(weight) else factor * weight


def is_share(weight: Any) -> bool:
    """Whether `weight` lies in [0, 1], a schedule at the start, half-way and at the end of training."""
    if callable(weight):
        return all(0 <= weight(progress) <= 1 for progress in LOOKED_AT)
    return isinstance(weight, int | float) and 0 <= weight <= 1


def check(weight: Weight, name: str = "weight") -> None:
    """Refuse a weight that would push the student away from its teacher.

    Raises:
        MillisError: below 0, or neither a number nor a schedule.
    """
    if callable(weight) or (isinstance(weight, int | float) and 0 <= weight < math.inf):
        return
    raise MillisError(
        f"distillation: {name}={weight!r} of a term: expected a number from 0 up, or a schedule of "
        "millis.distillation.weight"
    )


def is_zero(weight: Weight) -> bool:
    """Whether a term of this weight never counts: 0 at the start, half-way and at the end of training."""
    return not any(weight(progress) for progress in LOOKED_AT) if callable(weight) else weight == 0
