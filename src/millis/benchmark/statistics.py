"""Clock readings to numbers: quantiles with intervals, stage by stage, and the speed-up over the reference.

A request leaves five clock readings around its four stages, and the kernel's account of how long it waited for the CPU
while another process had it, and while its own quota kept it away. Latency is the clock's last reading less its first
less the wait for others: what the request takes where nobody else computes. What a quota costs stays in it. The stages
add up to it, request by request (their medians need not).
"""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from millis.metrics.bootstrap import median_interval, quantile_interval

STAGES = ("tokenize", "feed", "compute", "decode")
QUANTILES = {"p50": 0.5, "p90": 0.9, "p99": 0.99}


class Summary(NamedTuple):
    """Metrics by name (`latency_p99_ms`, `speedup`, ...) and 95 % bootstrap intervals under the same names."""

    metrics: dict[str, float]
    intervals: dict[str, tuple[float, float]]


def milliseconds(readings: Sequence[Sequence[Sequence[int]]]) -> NDArray[np.float64]:
    """Durations of the stages, [R, requests, 4], milliseconds, without the time other processes held the CPU.

    Args:
        readings: [R][requests][7], nanoseconds: five clock readings, how long the request waited for others, and how
            long for its quota. The wait for others is taken off its longest stage, the likeliest to have been
            interrupted. One longer than that stage fell between two requests, and is not taken off.
    """
    numbers = np.asarray(readings, dtype=np.int64)
    stages = np.diff(numbers[:, :, :5], axis=2)
    longest = stages.argmax(axis=2)[:, :, None]
    before = np.take_along_axis(stages, longest, axis=2)
    waited = numbers[:, :, 5:6]
    np.put_along_axis(stages, longest, np.where(waited < before, before - waited, before), axis=2)
    return np.asarray(stages / 1e6, dtype=np.float64)


def waiting_share(readings: Sequence[Sequence[Sequence[int]]]) -> float:
    """Share of the wall clock time (0..1) in which requests waited for other processes to leave the CPU."""
    return _share(readings, slice(5, 6))


def throttled_share(readings: Sequence[Sequence[Sequence[int]]]) -> float:
    """Share of the wall clock time (0..1) in which the quota of the processes' control group held requests back."""
    return _share(readings, slice(6, 7))


def _share(readings: Sequence[Sequence[Sequence[int]]], columns: slice) -> float:
    numbers = np.asarray(readings, dtype=np.int64)
    return float(numbers[:, :, columns].sum() / (numbers[:, :, 4] - numbers[:, :, 0]).sum())


def summarise(stages: NDArray[np.float64], reference_ms: NDArray[np.float64]) -> Summary:
    """What is reported of one artifact.

    Speed-up is the median over rounds of (reference's median / artifact's median): both had the same texts within the
    same second or so, and a machine that slows down slows both. Intervals draw rounds, then requests within them.

    Args:
        stages: [R, requests, 4], milliseconds, as from `milliseconds`.
        reference_ms: The reference's end-to-end latencies in the same rounds, [R, requests], milliseconds.
    """
    latency = stages.sum(axis=2)  # [R, requests]
    samples = {f"latency_{name}_ms": (latency, q) for name, q in QUANTILES.items()}
    samples |= {f"{stage}_p50_ms": (stages[:, :, i], 0.5) for i, stage in enumerate(STAGES)}
    samples["model_p50_ms"] = (stages[:, :, 1:].sum(axis=2), 0.5)  # feed, compute, decode: all but the tokenizer
    metrics = {name: float(np.quantile(values, q)) for name, (values, q) in samples.items()}
    intervals = {name: quantile_interval(values.tolist(), q) for name, (values, q) in samples.items()}

    ratios = np.median(reference_ms, axis=1) / np.median(latency, axis=1)  # [R]
    metrics["speedup"] = float(np.median(ratios))
    intervals["speedup"] = median_interval(ratios)
    return Summary(metrics, intervals)


def drift(reference_ms: NDArray[np.float64]) -> float:
    """How far the machine moved: (max - min) / median of the reference's medians [R], a share (0.1 = 10 %)."""
    medians = np.median(reference_ms, axis=1)
    return float((medians.max() - medians.min()) / np.median(medians))


class Agreement(NamedTuple):
    """One artifact measured twice: speed-ups and median latencies, and how far the second lies from the first, in %."""

    name: str
    first_speedup: float
    second_speedup: float
    speedup_difference_percent: float
    first_p50_ms: float
    second_p50_ms: float
    p50_difference_percent: float


def agreement(first: Mapping[str, Mapping[str, float]], second: Mapping[str, Mapping[str, float]]) -> list[Agreement]:
    """Do two independent runs say the same? One row for each artifact in both.

    Args:
        first, second: Artifact → metrics (`speedup`, `latency_p50_ms`). Difference is 100 · (second / first - 1).
    """
    rows = []
    for name in first:
        if name not in second:
            continue
        (speed, p50), (speed_again, p50_again) = (
            (metrics["speedup"], metrics["latency_p50_ms"]) for metrics in (first[name], second[name])
        )
        change, p50_change = 100 * (speed_again / speed - 1), 100 * (p50_again / p50 - 1)
        rows.append(Agreement(name, speed, speed_again, change, p50, p50_again, p50_change))
    return rows
