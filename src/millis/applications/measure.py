"""How good an application is: sums over rows, and a function of the sums, as metrics have it.

What a row adds is in `statistics`, so an interval is that of resamples of rows (`millis.metrics.bootstrap`).
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from millis.errors import MillisError
from millis.metrics.bootstrap import LEVEL, RESAMPLES, drawn
from millis.metrics.contract import Metric, matched
from millis.units import PERCENT, Better

Sums = NDArray[np.float64]


def _ratio(sums: Sums) -> Sums:
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.asarray(sums[..., 0] / sums[..., 1])


@dataclass(frozen=True)
class Measure:
    """One quality over N judged rows.

    Args:
        name: Such as `right_action`.
        statistics: Of each row, [N, K].
        of: Sums [..., K] → [...]; by default the first over the second.
        unit: "%" or the measure's own.
        better: Which values are.

    Raises:
        MillisError: no row says anything about it.
    """

    name: str
    statistics: NDArray[np.float64]
    of: Callable[[Sums], Sums] = _ratio
    unit: str = PERCENT
    better: Better = "higher"

    def __post_init__(self) -> None:
        if not np.isfinite(self.value):
            raise MillisError(f"no row says anything about {self.name}: the test rows of the corpus lack such rows")

    @property
    def value(self) -> float:
        """Of all rows."""
        return float(self.of(self.statistics.sum(axis=0)))

    def interval(self, seed: int = 0) -> tuple[float, float]:
        """The 95 % percentile interval over resamples of rows; resamples that say nothing are left out."""
        rows = len(self.statistics)
        draw = np.random.default_rng(seed)
        blocks = drawn(lambda: draw.integers(rows, size=rows), rows, RESAMPLES)
        values = np.concatenate([self.of(counts @ self.statistics) for counts in blocks])
        low, high = np.nanquantile(values, [(1 - LEVEL) / 2, (1 + LEVEL) / 2])
        return float(low), float(high)


def share(name: str, hits: Sequence[bool], among: Sequence[bool] | None = None) -> Measure:
    """How many of the rows `among` (all, where that is None) are hits, in percent."""
    counted = np.ones(len(hits)) if among is None else np.asarray(among, np.float64)
    return Measure(name, np.stack([100 * np.asarray(hits, np.float64) * counted, counted], axis=1))


def mean(name: str, scores: Sequence[float], unit: str, better: Better = "higher") -> Measure:
    """The mean of the rows' scores."""
    values = np.asarray(scores, np.float64)
    return Measure(name, np.stack([values, np.ones(len(values))], axis=1), unit=unit, better=better)


def judged(name: str, metric: Metric, answers: Sequence[Any], references: Sequence[Any]) -> Measure:
    """A metric of tasks (`millis.metrics`) on the rows' answers.

    Raises:
        MillisError: answers that the metric cannot judge.
    """
    given, right = matched(answers, references)
    return Measure(name, metric.statistics(given, right), metric.value, metric.unit, metric.better)
