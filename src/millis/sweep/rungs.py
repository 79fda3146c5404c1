"""Which trainings of a search go on: those that can still reach the frontier.

At rungs, which are shares of its planned epochs, a training is held against the others, in one of two ways:

- **Extrapolation** (predictive termination: Domhan et al. 2015). What finished trainings of its kind gained between
  this rung and their end says what it may gain: at most the upper end of the 95 % prediction interval (Student's). It
  ends if a finished one that costs no more has that quality already.
- **Halving**, where too few of its kind have ended to foretell anything (asynchronous, in the variant that stops and
  does not wait: Li et al. 2020, 1810.05934; of several objectives: Schmucker et al. 2021, 2106.12639). All that reached
  the rung are sorted into fronts, and a front by the hypervolume that each adds to it. A training that another one
  there dominates ends unless it is among the first `kept`. One on the first front goes on, however many these are: a
  frontier is looked for, and not one best model.

Qualities are of validation, and more is better; costs are known before training, and less is better.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from itertools import pairwise
from math import ceil, inf, sqrt

import numpy as np
from numpy.typing import NDArray
from optuna._hypervolume import compute_hypervolume
from scipy.special import stdtrit

from millis.errors import MillisError
from millis.sweep.frontier import non_dominated

UPPER = 0.975  # of the gain's distribution: the upper end of the 95 % prediction interval


@dataclass(frozen=True)
class Course:
    """How far one training came.

    Args:
        name: Of its recipe.
        weights: Fingerprint of what is trained; several recipes may share it.
        kind: Of its student: only trainings of one kind foretell each other.
        costs: Objective → value, without quality.
        reached: Rungs and the best quality by then, rising.
        final: Quality in the end; None where it has not come to it.
        stopped: Why it ended at its last rung; empty where it did not.
    """

    name: str
    weights: str
    kind: str
    costs: dict[str, float]
    reached: Sequence[tuple[float, float]] = ()
    final: float | None = None
    stopped: str = ""

    def at(self, share: float) -> float | None:
        """Quality at a rung; None where it was not judged there."""
        return next((quality for rung, quality in self.reached if rung == share), None)

    def within(self, costs: dict[str, float]) -> bool:
        """Whether it costs no more than `costs`."""
        return all(value <= costs[name] for name, value in self.costs.items())


@dataclass(frozen=True)
class Rungs:
    """The rule.

    Args:
        shares: Of the planned epochs, rising, above 0 and up to 1. A rung at 1 judges trainings that are prolonged.
        kept: Share of the trainings at a rung that halving lets go on; with 1 it ends none.
        least: Trainings that another is judged by: of its kind and finished for extrapolation, at its rung for halving.

    Raises:
        MillisError: what makes no rungs.
    """

    shares: Sequence[float] = (0.25, 0.5, 1.0)
    kept: float = 0.5
    least: int = 3

    def __post_init__(self) -> None:
        shares = tuple(map(float, self.shares))
        object.__setattr__(self, "shares", shares)
        rising = all(low < high for low, high in pairwise(shares))
        if not (shares and rising and shares[0] > 0 and shares[-1] <= 1):
            raise MillisError(
                f"study.rungs.shares={list(self.shares)}: expected shares of a training, rising, above 0 and up to 1, "
                "such as [0.25,0.5,1]"
            )
        if not 0 < self.kept <= 1:
            raise MillisError(f"study.rungs.kept={self.kept}: expected a share above 0, up to 1 (halving ends none)")
        if self.least < 2:
            raise MillisError(
                f"study.rungs.least={self.least}: expected at least 2, for gains of one training have no spread"
            )

    def verdict(self, one: Course, others: Sequence[Course]) -> str | None:
        """Why a training ends at the last rung that it reached; None where it goes on."""
        share, quality = one.reached[-1]
        place = f"stopped at {Fraction(share).limit_denominator(100)}: dominated by"
        cheaper = [(other.final, other.name) for other in others if other.final is not None and other.within(one.costs)]
        final, name = max(cheaper, default=(-inf, ""))
        if (best := self.foretold(one, others)) is not None:
            foretold = f"{place} {name}, whose {final:.2f} it would not pass: {best:.2f} at most is foretold"
            return foretold if best <= final else None
        there = [(other, reached) for other in others if (reached := other.at(share)) is not None]
        better = [(reached, other.name) for other, reached in there if reached >= quality and other.within(one.costs)]
        if len(there) < self.least or not better:
            return None
        points = np.array([[-reached, *other.costs.values()] for other, reached in [*there, (one, quality)]])
        if len(there) in ranked(points)[ceil(self.kept * len(points)) :]:
            return f"{place} {max(better)[1]} there, and not among the first {self.kept:.0%} of {len(points)}"
        return None

    def foretold(self, one: Course, others: Sequence[Course]) -> float | None:
        """The most that a training may end with; None where too few of its kind have ended."""
        share, quality = one.reached[-1]
        gains = {
            other.weights: other.final - reached
            for other in others
            if other.kind == one.kind and other.final is not None and (reached := other.at(share)) is not None
        }
        if len(gains) < self.least:
            return None
        found = np.array(list(gains.values()))
        spread = found.std(ddof=1) * sqrt(1 + 1 / len(found))
        return quality + float(found.mean() + stdtrit(len(found) - 1, UPPER) * spread)


def none() -> None:
    """No rungs: every training comes to its end."""


def ranked(costs: NDArray[np.float64]) -> list[int]:
    """Rows of `costs` [M, J], all to be minimised: front by front, within a front by the hypervolume that each adds.

    Columns are brought to the range 0 to 1, and the volume is taken up to 1.1 in each.
    """
    low, high = costs.min(axis=0), costs.max(axis=0)
    scaled, left, order = (costs - low) / np.where(high > low, high - low, 1.0), np.arange(len(costs)), list[int]()
    while len(left):
        on_it = non_dominated(scaled[left])
        front = left[on_it]
        order += front[np.argsort(-_added(scaled[front]), kind="stable")].tolist()
        left = left[~on_it]
    return order


def _added(front: NDArray[np.float64]) -> NDArray[np.float64]:
    """Hypervolume that each row of a front adds to the others, [M]."""
    reference = np.full(front.shape[1], 1.1)
    whole = compute_hypervolume(front, reference)
    rest = [np.delete(front, row, axis=0) for row in range(len(front))]
    return np.array([whole - (compute_hypervolume(one, reference) if len(one) else 0.0) for one in rest])
