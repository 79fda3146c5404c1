"""Bootstrap intervals: how far a measured number could be off, had other texts or other rounds been drawn.

Source: Efron and Tibshirani 1993, "An Introduction to the Bootstrap", chapter 13: resample the data with replacement,
recompute the number, and take the middle `level` of the results (the percentile interval). It needs no formula for the
number, and keeps within its range. It is too narrow for a handful of items, and has no width at all where every item
agrees (100 % right): that says "these texts cannot tell", not "certain".
"""

from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import ArrayLike, NDArray

from millis.errors import MillisError
from millis.metrics import Score
from millis.metrics._labels import checked

# 1,000 resamples leave 25 beyond each end of a 95 % interval, so an end moves by about a tenth of the interval's
# half-width from seed to seed (standard error of a normal 2.5 % quantile: sqrt(0.025·0.975/1000)/0.058 = 0.08 sigma).
RESAMPLES = 1000
LEVEL = 0.95
DRAWS_AT_ONCE = 1_000_000  # 8 MB an array: numpy's own cost for each call is spread over many resamples


def interval(
    score: Score,
    predictions: ArrayLike,
    references: ArrayLike,
    *,
    resamples: int = RESAMPLES,
    seed: int = 0,
    level: float = LEVEL,
) -> tuple[float, float]:
    """Percentile interval of a quality metric over the items of a split.

    Args:
        score: As from `millis.metrics.scorer`; resamples on which it is nan (no out-of-scope item drawn) are left out.
        predictions: Predicted label indices [N].
        references: True label indices [N].
        resamples: How many times the items are drawn anew.
        seed: Of the draws: the same seed gives the same interval.
        level: Share of the resamples within the interval.

    Returns:
        (low, high), in the unit of `score`.

    Raises:
        MillisError: empty or unequal lists, or `score` is undefined on every resample.
    """
    predicted, actual = checked(predictions, references)
    return _percentile(lambda items: score(predicted[items], actual[items]), len(actual), resamples, seed, level)


def paired_difference_interval(
    score: Score,
    candidate: ArrayLike,
    baseline: ArrayLike,
    references: ArrayLike,
    *,
    resamples: int = RESAMPLES,
    seed: int = 0,
    level: float = LEVEL,
) -> tuple[float, float]:
    """Percentile interval of score(candidate) - score(baseline) on the same items.

    Both models are scored on the same drawn items (Koehn 2004, "Statistical Significance Tests for Machine Translation
    Evaluation"): what makes a text hard for both cancels, so the interval is narrower than two separate ones suggest.
    An interval without 0 says that the models differ.

    Args:
        score, resamples, seed, level: As for `interval`.
        candidate: Label indices predicted by one model [N].
        baseline: Label indices predicted by the other [N].
        references: True label indices [N].

    Returns:
        (low, high), in the unit of `score`; negative where the candidate is worse.

    Raises:
        MillisError: As for `interval`.
    """
    ours, actual = checked(candidate, references)
    theirs, _ = checked(baseline, references)

    def difference(items: NDArray[np.int64]) -> float:
        drawn = actual[items]
        return score(ours[items], drawn) - score(theirs[items], drawn)

    return _percentile(difference, len(actual), resamples, seed, level)


def quantile_interval(
    samples: Sequence[Sequence[float]],
    q: float,
    *,
    resamples: int = RESAMPLES,
    seed: int = 0,
    level: float = LEVEL,
) -> tuple[float, float]:
    """Percentile interval of the q-quantile of all samples, where they came in rounds.

    Requests of one round share the machine's mood (clock, cache, neighbours), so drawing requests alone would call
    them independent and give an interval several times too narrow. Rounds are drawn first, then requests within each
    drawn round (Davison and Hinkley 1997, "Bootstrap Methods and their Application", section 3.8).

    Args:
        samples: [R][requests], in any unit; rounds may differ in length.
        q: 0..1, such as 0.99 for a p99.
        resamples, seed, level: As for `interval`.

    Returns:
        (low, high), in the unit of the samples.

    Raises:
        MillisError: no rounds, or a round without samples.
    """
    lengths = np.array([len(requests) for requests in samples], dtype=np.int64)
    if not lengths.size or not lengths.all():
        raise MillisError(
            f"got {lengths.size} rounds, {int(np.sum(lengths == 0))} of them empty; expected at least one, each with "
            "samples. Measure again with more rounds"
        )
    flat = np.concatenate([np.asarray(requests, dtype=np.float64) for requests in samples])
    starts = np.cumsum(lengths) - lengths
    order = np.argsort(flat)
    place = np.empty_like(order)  # of a sample among all, sorted
    place[order] = np.arange(len(flat))
    rng = np.random.default_rng(seed)
    at_once = max(1, DRAWS_AT_ONCE // len(flat))
    found = []
    for first in range(0, resamples, at_once):
        rounds = rng.integers(len(lengths), size=(min(at_once, resamples - first), len(lengths)))
        drawn = lengths[rounds]
        each = drawn.ravel()
        within = (rng.random(int(each.sum())) * np.repeat(each, each)).astype(np.int64)
        sample = place[np.repeat(starts[rounds].ravel(), each) + within]
        resample = np.repeat(np.arange(len(rounds)), drawn.sum(axis=1))
        counts = np.bincount(resample * len(flat) + sample, minlength=len(rounds) * len(flat))
        found.append(counted_quantile(flat[order], counts.reshape(len(rounds), len(flat)), q))
    return _middle(np.concatenate(found), level)


def counted_quantile(values: NDArray[np.float64], counts: NDArray[np.int64], q: float) -> NDArray[np.float64]:
    """The q-quantile of each resample, between neighbours as `numpy.quantile` has it.

    Args:
        values: Ascending [N].
        counts: How often a resample drew each value [B, N]; at least one a resample.
        q: 0..1.

    Returns:
        [B].
    """
    until = counts.cumsum(axis=1)
    rank = q * (until[:, -1] - 1)
    below = values[(until <= np.floor(rank)[:, None]).sum(axis=1)]
    above = values[(until <= np.ceil(rank)[:, None]).sum(axis=1)]
    return np.asarray(below + (rank - np.floor(rank)) * (above - below))


def median_interval(
    values: ArrayLike, *, resamples: int = RESAMPLES, seed: int = 0, level: float = LEVEL
) -> tuple[float, float]:
    """Percentile interval of the median of independent values [R], such as a speed-up a round.

    Raises:
        MillisError: no values.
    """
    array = np.asarray(values, dtype=np.float64)
    if not array.size:
        raise MillisError("got no values; expected at least one a round. Measure again with more rounds")
    items = np.random.default_rng(seed).integers(len(array), size=(resamples, len(array)))
    return _middle(np.median(array[items], axis=1), level)


def _percentile(
    statistic: Callable[[NDArray[np.int64]], float], items: int, resamples: int, seed: int, level: float
) -> tuple[float, float]:
    rng = np.random.default_rng(seed)
    return _middle(np.array([statistic(rng.integers(items, size=items)) for _ in range(resamples)]), level)


def _middle(values: NDArray[np.float64], level: float) -> tuple[float, float]:
    defined = values[~np.isnan(values)]
    if not defined.size:
        raise MillisError(
            f"the number is undefined on all {values.size} resamples; expected items it is taken over. Evaluate on a "
            "split that has some, or choose another metric"
        )
    low, high = np.quantile(defined, [(1 - level) / 2, (1 + level) / 2])
    return float(low), float(high)
