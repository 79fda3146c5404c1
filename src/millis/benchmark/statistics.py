"""Clock readings to numbers: quantiles with intervals, stage by stage, and the speed-up over the reference.

A request leaves a clock reading before and after each of its stages (`millis.serving.one_pass.Runner.stages`), and the
kernel's account of how long it waited for the CPU while another process had it, and while its own quota kept it away.
Latency is the clock's last reading less its first less the wait for others: what the request takes where nobody else
computes. What a quota costs stays in it. The stages add up to it, request by request (their medians need not).
"""

from collections.abc import Mapping, Sequence
from itertools import permutations, product
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from millis.metrics.rounds import middle, quantile_draws, ratio_draws

WRITE = "write"  # the stage in which a text is written from its second token on
QUANTILES = {"p50": 0.5, "p90": 0.9, "p99": 0.99}


class Summary(NamedTuple):
    """Metrics by name (`latency_p99_ms`, `speedup`, ...) and 95 % intervals under the same names."""

    metrics: dict[str, float]
    intervals: dict[str, tuple[float, float]]


def milliseconds(readings: Sequence[Sequence[Sequence[int]]]) -> NDArray[np.float64]:
    """Durations of the K stages, [R, requests, K], milliseconds, without the time other processes held the CPU.

    Args:
        readings: [R][requests][K + 3], nanoseconds: K + 1 clock readings, how long the request waited for others, and
            how long for its quota. The wait for others is taken off its longest stage, the likeliest to have been
            interrupted. One longer than that stage fell between two requests, and is not taken off.
    """
    numbers = np.asarray(readings, dtype=np.int64)
    stages = np.diff(numbers[:, :, :-2], axis=2)
    longest = stages.argmax(axis=2)[:, :, None]
    before = np.take_along_axis(stages, longest, axis=2)
    waited = numbers[:, :, -2:-1]
    np.put_along_axis(stages, longest, np.where(waited < before, before - waited, before), axis=2)
    return np.asarray(stages / 1e6, dtype=np.float64)


def waiting_share(readings: Sequence[Sequence[Sequence[int]]]) -> float:
    """Share of the wall clock time (0..1) in which requests waited for other processes to leave the CPU."""
    return _share(readings, -2)


def throttled_share(readings: Sequence[Sequence[Sequence[int]]]) -> float:
    """Share of the wall clock time (0..1) in which the quota of the processes' control group held requests back."""
    return _share(readings, -1)


def _share(readings: Sequence[Sequence[Sequence[int]]], column: int) -> float:
    numbers = np.asarray(readings, dtype=np.int64)
    return float(numbers[:, :, column].sum() / (numbers[:, :, -3] - numbers[:, :, 0]).sum())


def summarise(
    names: Sequence[str],
    stages: NDArray[np.float64],
    reference_ms: NDArray[np.float64],
    processes: Sequence[int] = (),
) -> Summary:
    """What is reported of one artifact: `end_to_end`, and medians of the stages.

    Args:
        names: Of the K stages.
        stages: [R, requests, K], milliseconds, as from `milliseconds`.
        reference_ms: The reference's end-to-end latencies in the same rounds, [R, requests], milliseconds.
        processes: Which process served each round, [R].
    """
    whole = end_to_end(stages.sum(axis=2), reference_ms, processes)
    model = stages[:, :, 1:].sum(axis=2)  # all but the first: the tokenizer
    parts = np.stack([*np.moveaxis(stages, 2, 0), model])  # [K + 1, R, requests]
    draws = quantile_draws(parts, processes, [0.5])[:, :, 0]
    measured = [stage_metric(name) for name in (*names, "model")]
    metrics = {name: float(np.median(part)) for name, part in zip(measured, parts, strict=True)}
    intervals = {name: middle(draws[:, i]) for i, name in enumerate(measured)}
    return Summary(whole.metrics | metrics, whole.intervals | intervals)


def writing(names: Sequence[str], stages: NDArray[np.float64], tokens: int, processes: Sequence[int] = ()) -> Summary:
    """What is reported beside of models that write (time to first token and time per output token as serving engines
    define them, inter-token latency of others): from the request to the first token, and, of each token after it, the
    mean over a request's.

    Args:
        names: Of the K stages, one of which is `WRITE`.
        stages: [R, requests, K], milliseconds.
        tokens: That each request was answered with, 2 or more.
        processes: Which process served each round, [R].
    """
    at = list(names).index(WRITE)
    parts = np.stack([stages[:, :, :at].sum(axis=2), stages[:, :, at] / (tokens - 1)])  # [2, R, requests]
    quantiles = {name: share for name, share in QUANTILES.items() if name != "p90"}
    draws = quantile_draws(parts, processes, list(quantiles.values()))
    metrics, intervals = {}, {}
    for i, part in enumerate(("first_token", "per_token")):
        for j, (name, share) in enumerate(quantiles.items()):
            metrics[f"{part}_{name}_ms"] = float(np.quantile(parts[i], share))
            intervals[f"{part}_{name}_ms"] = middle(draws[:, i, j])
    return Summary(metrics, intervals)


def guessed(counts: Sequence[Mapping[str, int]]) -> dict[str, float]:
    """`accepted_share` (0..1) of the guesses that were looked at, where any were.

    Args:
        counts: Of each process, how many were right (`accepted`) and wrong (`refused`).
    """
    accepted, refused = (sum(one[name] for one in counts) for name in ("accepted", "refused"))
    return {"accepted_share": accepted / (accepted + refused)} if accepted + refused else {}


def merged(first: Summary, second: Summary) -> Summary:
    """Both as one."""
    return Summary(first.metrics | second.metrics, first.intervals | second.intervals)


def stage_metric(stage: str) -> str:
    """The name of a stage's median."""
    return f"{stage}_p50_ms"


def end_to_end(latency: NDArray[np.float64], reference_ms: NDArray[np.float64], processes: Sequence[int]) -> Summary:
    """Quantiles of the latency, and the speed-up: the median over rounds of (reference's median / artifact's median).

    Both had the same texts within the same second or so, and a machine that slows down slows both. Intervals reflect
    what differs between processes, rounds and requests (`millis.metrics.rounds`).

    Args:
        latency, reference_ms: [R, requests], milliseconds.
        processes: Which process served each round, [R].
    """
    names = [f"latency_{name}_ms" for name in QUANTILES]
    draws = quantile_draws(latency[None], processes, list(QUANTILES.values()))[:, 0]  # [K, Q]
    metrics = dict(zip(names, np.quantile(latency, list(QUANTILES.values())).tolist(), strict=True))
    intervals = {name: middle(draws[:, i]) for i, name in enumerate(names)}
    ratios = np.median(reference_ms, axis=1) / np.median(latency, axis=1)  # [R]
    metrics["speedup"] = float(np.median(ratios))
    intervals["speedup"] = middle(ratio_draws(ratios, processes))
    return Summary(metrics, intervals)


def drift(reference_ms: NDArray[np.float64]) -> float:
    """How far the machine moved: (max - min) / median of the reference's medians [R], a share (0.1 = 10 %)."""
    medians = np.median(reference_ms, axis=1)
    return float((medians.max() - medians.min()) / np.median(medians))


class Agreement(NamedTuple):
    """One number of one artifact, measured by two runs.

    Args:
        artifact, metric: Of what.
        first, second: What was measured.
        difference_percent: 100 · (second / first - 1).
        overlap: Whether the intervals do.
        within: Whether the difference is within the combined interval, so that it is none (`differ`).
    """

    artifact: str
    metric: str
    first: float
    second: float
    difference_percent: float
    overlap: bool
    within: bool


def agreement(
    first: Mapping[str, Summary], second: Mapping[str, Summary], metrics: Sequence[str] = ("speedup", "latency_p50_ms")
) -> list[Agreement]:
    """Do two independent runs say the same? One row for each of `metrics` and each artifact in both."""
    rows = []
    for artifact, metric in product((name for name in first if name in second), metrics):
        one, other = first[artifact], second[artifact]
        (low, high), (other_low, other_high) = one.intervals[metric], other.intervals[metric]
        value, again = one.metrics[metric], other.metrics[metric]
        overlap = low <= other_high and other_low <= high
        within = not differ(one, other, metric)
        rows.append(Agreement(artifact, metric, value, again, 100 * (again / value - 1), overlap, within))
    return rows


def differ(first: Summary, second: Summary, metric: str) -> bool:
    """Whether the interval of log(second / first) excludes 0.

    Of independent a and b, with intervals of their own, the interval of b - a reaches as far below it as
    √((b - low of b)² + (high of a - a)²) and above as √((high of b - b)² + (a - low of a)²) (Zou and Donner 2008,
    "Construction of confidence limits about effect measures").
    """
    if second.metrics[metric] < first.metrics[metric]:
        first, second = second, first
    a, b = (np.log(one.metrics[metric]) for one in (first, second))
    above, below = np.log(first.intervals[metric][1]) - a, b - np.log(second.intervals[metric][0])
    return bool(b - a > np.hypot(above, below))


def told_apart(found: Mapping[str, Summary], metric: str = "speedup") -> set[tuple[str, str]]:
    """Pairs of artifacts whose difference is measured: (the one with less, the one with more)."""
    return {
        (less, more)
        for less, more in permutations(found, 2)
        if found[less].metrics[metric] < found[more].metrics[metric] and differ(found[less], found[more], metric)
    }
