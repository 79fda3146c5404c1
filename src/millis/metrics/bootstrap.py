"""Bootstrap intervals: how far a quality could be off, had other texts been drawn.

Source: Efron and Tibshirani 1993, "An Introduction to the Bootstrap", chapter 13: resample the data with replacement,
recompute the number, and take the middle `level` of the results (the percentile interval). It needs no formula for the
number, and keeps within its range. It is too narrow for a handful of items, and has no width at all where every item
agrees (100 % right): that says "these texts cannot tell", not "certain".
"""

from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from millis.errors import MillisError
from millis.metrics.contract import AnyMetric, Items, matched, weighted
from millis.units import SIGN

# 1,000 resamples leave 25 beyond each end of a 95 % interval, so an end moves by about a tenth of the interval's
# half-width from seed to seed (standard error of a normal 2.5 % quantile: sqrt(0.025·0.975/1000)/0.058 = 0.08 sigma).
RESAMPLES = 1000
LEVEL = 0.95
BLOCK = 2**23  # counts that are held at a time, 64 MB: 1,500 resamples of 5,500 texts


def interval(
    metric: AnyMetric,
    predictions: Sequence[Any] | Items,
    references: Sequence[Any] | Items,
    *,
    resamples: int = RESAMPLES,
    seed: int = 0,
    level: float = LEVEL,
) -> tuple[float, float]:
    """Percentile interval of a quality metric over the items of a split.

    Args:
        metric: As from `millis.metrics.named`; resamples on which it is nan (no out-of-scope item drawn) are left out.
        predictions: What was answered, [N] (`millis.metrics.contract.items`).
        references: What is right, [N].
        resamples: How many times the items are drawn anew.
        seed: Of the draws: the same seed gives the same interval.
        level: Share of the resamples within the interval.

    Returns:
        (low, high), in the metric's unit.

    Raises:
        MillisError: empty or unequal lists, or the metric is undefined on every resample.
    """
    predicted, actual = matched(predictions, references)
    values = [weighted(metric, predicted, actual, counts) for counts in _counts(len(actual), resamples, seed)]
    return _middle(np.concatenate(values), level)


def paired_difference_interval(
    metric: AnyMetric,
    candidate: Sequence[Any] | Items,
    baseline: Sequence[Any] | Items,
    references: Sequence[Any] | Items,
    *,
    resamples: int = RESAMPLES,
    seed: int = 0,
    level: float = LEVEL,
) -> tuple[float, float]:
    """Percentile interval of how much better the candidate is than the baseline, on the same items.

    Both models are scored on the same drawn items (Koehn 2004, "Statistical Significance Tests for Machine Translation
    Evaluation"): what makes a text hard for both cancels, so the interval is narrower than two separate ones suggest.
    An interval without 0 says that the models differ.

    Args:
        metric, resamples, seed, level: As for `interval`.
        candidate: What one model answers, [N].
        baseline: What the other answers, [N].
        references: What is right, [N].

    Returns:
        (low, high), in the metric's unit; negative where the candidate is worse.

    Raises:
        MillisError: As for `interval`.
    """
    ours, actual = matched(candidate, references)
    theirs, _ = matched(baseline, references)

    differences = [
        weighted(metric, ours, actual, counts) - weighted(metric, theirs, actual, counts)
        for counts in _counts(len(actual), resamples, seed)
    ]
    return _middle(SIGN[metric.better] * np.concatenate(differences), level)


def drawn(draw: Callable[[], NDArray[np.int64]], items: int, resamples: int) -> Iterator[NDArray[np.float64]]:
    """Resamples as how often each item is in them, in blocks [R, N] that fit into memory.

    Args:
        draw: Positions of the items of one resample, [N]; called once for each, in order.
        items: N.
        resamples: R, of all blocks together.
    """
    size = max(1, BLOCK // items)
    for start in range(0, resamples, size):
        counts = np.empty((min(size, resamples - start), items))
        for row in counts:
            row[:] = np.bincount(draw(), minlength=items)
        yield counts


def _counts(items: int, resamples: int, seed: int) -> Iterator[NDArray[np.float64]]:
    rng = np.random.default_rng(seed)
    return drawn(lambda: rng.integers(items, size=(items,)), items, resamples)


def _middle(values: NDArray[np.float64], level: float) -> tuple[float, float]:
    defined = values[~np.isnan(values)]
    if not defined.size:
        raise MillisError(
            f"the number is undefined on all {values.size} resamples; expected items it is taken over. Evaluate on a "
            "split that has some, or choose another metric"
        )
    low, high = np.quantile(defined, [(1 - level) / 2, (1 + level) / 2])
    return float(low), float(high)
