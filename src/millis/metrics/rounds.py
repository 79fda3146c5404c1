"""How far a latency could be off, had other processes, other rounds or other requests been timed.

Requests of one round share the machine's mood (clock, cache, neighbours); rounds of one process share where its memory
came to lie. So a quantile, or a round's ratio to the reference, is drawn anew on three levels:

    draw = quantile of drawn rounds and requests · exp(t · s / √P)

* of each process as many rounds as it has are drawn, with replacement, then requests within each drawn round (Davison
  and Hinkley 1997, "Bootstrap Methods and their Application", section 3.8);
* s is the standard deviation of the log of the P processes' own quantiles, t is drawn from Student's distribution with
  P - 1 degrees of freedom: the middle 95 % of this factor are Student's interval of a mean over processes (the highest
  level of repetition decides: Kalibera and Jones 2013, "Rigorous Benchmarking in Reasonable Time"). Processes drawn
  with replacement would make it 2.7 times narrower for P = 3.

What varies within a process is in s as well, so where processes do not differ the intervals are somewhat too wide (for
four processes by a sixth); they are not too narrow where they do. One process tells nothing of the next: P = 1 adds
nothing. All draws of a call share rounds, requests and t, so that what is common to artifacts measured together cancels
in their differences.

Axes here: G artifacts measured together, R rounds, P processes, K draws, Q quantiles.
"""

from collections.abc import Mapping, Sequence
from math import exp, lgamma, log

import numpy as np
from numpy.typing import ArrayLike, NDArray

from millis.errors import MillisError

RESAMPLES = (
    2000  # Student's ends for P = 3 move by 8 % of themselves from seed to seed: sqrt(0.025·0.975/2000)/0.0103/4.3
)
LEVEL = 0.95
AT_ONCE = 2_000_000  # samples, 16 MB an array
LEAST_MS = 1e-6  # the clock's resolution: a stage can take 0, whose log is none
WIDEST = 100.0  # of a log factor; two processes alone have Cauchy's tails
STRAY = 4  # requests beyond the upper end of a quantile's interval, at least: so many strays do not move it


def quantile_draws(
    samples: ArrayLike,
    processes: Sequence[int],
    quantiles: Sequence[float],
    resamples: int = RESAMPLES,
    seed: int | np.random.Generator = 0,
) -> NDArray[np.float64]:
    """Quantiles as other processes, rounds and requests would have had them, [K, G, Q].

    Args:
        samples: [G, R, requests], milliseconds, or ratios with one "request" a round.
        processes: Which process served each round, [R]; empty where nobody knows, which counts as one.
        quantiles: [Q], 0..1.
        resamples: K.
        seed: Of the draws, or a generator.

    Raises:
        MillisError: no samples, or not one process a round.
    """
    timed = np.asarray(samples, dtype=np.float64)
    artifacts, rounds, requests = timed.shape
    served = np.asarray(processes) if len(processes) else np.zeros(rounds, dtype=np.int64)
    if not timed.size or len(served) != rounds:
        raise MillisError(
            f"got {rounds} rounds of {requests} latency samples, served by {len(served)} processes; expected at least "
            "one of each, and one process a round. Measure again"
        )
    rng = np.random.default_rng(seed)
    own = [np.flatnonzero(served == process) for process in np.unique(served)]  # rounds of each process
    flat, found = timed.reshape(artifacts, -1), []
    at_once = max(1, AT_ONCE // timed.size)
    for first in range(0, resamples, at_once):
        drawn = _drawn(own, requests, min(at_once, resamples - first), rng)
        found.append(np.quantile(flat[:, drawn], quantiles, axis=2).transpose(2, 1, 0))
    each = np.stack([np.quantile(timed[:, one].reshape(artifacts, -1), quantiles, axis=1).T for one in own])
    return np.concatenate(found) * np.exp(_between(np.log(np.maximum(each, LEAST_MS)), resamples, rng))


def ratio_draws(
    ratios: ArrayLike, processes: Sequence[int], resamples: int = RESAMPLES, seed: int | np.random.Generator = 0
) -> NDArray[np.float64]:
    """As `quantile_draws`, of the median over rounds of one artifact's `ratios` to the reference [R]: [K]."""
    return quantile_draws(np.asarray(ratios)[None, :, None], processes, [0.5], resamples, seed)[:, 0, 0]


def middle(draws: NDArray[np.float64], level: float = LEVEL) -> tuple[float, float]:
    """The interval that holds the middle `level` of `draws` [K]."""
    low, high = np.quantile(draws, [(1 - level) / 2, (1 + level) / 2])
    return float(low), float(high)


def requests_for(quantile: float) -> int:
    """How many requests the interval of a quantile takes: p50 17, p90 100, p99 1,022.

    The distribution-free interval of the q-quantile ends at order statistics, whose ranks follow from how many of n
    requests lie beyond it, a binomial number of n and 1 - q (David and Nagaraja 2003, "Order Statistics", section 7.1).
    The least n whose 95 % interval has an upper end with `STRAY` requests above it:

        P(at most STRAY of n lie beyond) ≤ 2.5 %

    Below 368 requests a p99 has no upper end at all: all of them may lie below it (0.99³⁶⁷ > 2.5 %).
    """
    beyond, needed = min(quantile, 1 - quantile), STRAY + 1
    low, high = needed, needed
    while at_most(STRAY, high, beyond) > (1 - LEVEL) / 2:
        low, high = high, 2 * high
    while low < high:
        between = (low + high) // 2
        low, high = (low, between) if at_most(STRAY, between, beyond) <= (1 - LEVEL) / 2 else (between + 1, high)
    return high


def kept_probability(samples: ArrayLike, processes: Sequence[int], limits: Mapping[float, float]) -> float:
    """How surely latencies keep their limits, all together, 0..1.

    The share of draws that keep them; at most what the count allows, for no draw exceeds the slowest request: with m of
    n requests over its limit, a quantile q keeps it with confidence 1 - P(at most m of n lie beyond q).

    Args:
        samples: [R, requests], milliseconds.
        processes: As for `quantile_draws`.
        limits: Quantile → most milliseconds.
    """
    if not limits:
        return 1.0
    timed = np.asarray(samples, dtype=np.float64)
    draws = quantile_draws(timed[None], processes, list(limits))[:, 0]  # [K, Q]
    share = float(np.mean((draws <= list(limits.values())).all(axis=1)))
    allowed = [1 - at_most(int((timed > limit).sum()), timed.size, 1 - q) for q, limit in limits.items()]
    return min(share, *allowed)


def at_most(count: int, trials: int, chance: float) -> float:
    """P(a binomial number of `trials` and `chance` ≤ `count`)."""
    if count >= trials:
        return 1.0
    parts = (
        lgamma(trials + 1) - lgamma(k + 1) - lgamma(trials - k + 1) + k * log(chance) + (trials - k) * log(1 - chance)
        for k in range(count + 1)
    )
    return min(1.0, sum(map(exp, parts)))


def _drawn(own: Sequence[NDArray[np.int64]], requests: int, draws: int, rng: np.random.Generator) -> NDArray[np.int64]:
    """Positions of drawn samples among all, [draws, R · requests]: each process's rounds, requests within them."""
    rounds = np.concatenate([one[rng.integers(len(one), size=(draws, len(one)))] for one in own], axis=1)
    within = rng.integers(requests, size=(*rounds.shape, requests))
    return np.asarray((rounds[:, :, None] * requests + within).reshape(draws, -1))


def _between(logs: NDArray[np.float64], resamples: int, rng: np.random.Generator) -> NDArray[np.float64]:
    """t · s / √P of the processes' own values, [P, ...] → [K, ...]; the same t for all that follows P.

    Σ z_p (x_p - mean) / √(P - 1) of standard normal z is normal with s; over √(χ² / (P - 1)) it is Student's.
    """
    count = len(logs)
    if count == 1:
        return np.zeros((1, *logs.shape[1:]))
    normal = rng.normal(size=(resamples, count)) / np.sqrt(count * (count - 1))
    scale = np.sqrt(rng.chisquare(count - 1, size=(resamples, 1)) / (count - 1))
    return np.asarray(np.clip(np.tensordot(normal / scale, logs - logs.mean(axis=0), 1), -WIDEST, WIDEST))
