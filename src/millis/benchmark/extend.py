"""Measured again, in fresh processes, while a question is open: more requests, and more processes to differ.

More rounds in the same processes would narrow only what varies within them. A run of its own also meets the machine at
another time, so what differs from run to run is in the spread between processes of what is pooled.
"""

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from millis.benchmark.latency import Measurement
from millis.benchmark.notes import held_up_notes
from millis.benchmark.statistics import drift, end_to_end

SHARES = ("waiting_share", "throttled_share")  # of the time, lost to other processes and to a quota
EXTENSIONS = 3  # further runs at most: four times the requests and the processes


def extended(
    measure: Callable[[int], Mapping[str, Measurement]], is_open: Callable[[Mapping[str, Measurement]], bool]
) -> dict[str, Measurement]:
    """What `measure` finds, pooled over as many runs as it takes until nothing `is_open`, `EXTENSIONS` more at most.

    Args:
        measure: Number of the run, 0 for the first → name → measurement, the same names each time.
        is_open: Whether another run could decide something.
    """
    found = dict(measure(0))
    for again in range(1, EXTENSIONS + 1):
        if not is_open(found):
            break
        more = measure(again)
        found = {name: pooled(one, more[name]) for name, one in found.items()}
    return found


def pooled(first: Measurement, again: Measurement) -> Measurement:
    """One measurement out of two of the same artifact in different processes.

    Rounds are joined, each cut to the fewer requests of both (they lie in a random order); latencies and the speed-up
    are computed from all of them. Of stages and the like, of which no samples are kept, the mean over rounds is taken,
    and the interval that holds both; of peak memory, and of what was lost to other processes and a quota, the larger.
    """
    requests = min(len(first.latency_ms[0]), len(again.latency_ms[0]))
    latency, reference = (
        np.array([samples[:requests] for samples in (*ours, *theirs)])
        for ours, theirs in (
            (first.latency_ms, again.latency_ms),
            (first.reference_latency_ms, again.reference_latency_ms),
        )
    )
    beyond = max(first.processes, default=0) + 1
    processes = [*first.processes, *(beyond + process for process in again.processes)]
    share = len(first.latency_ms) / len(latency)
    whole = end_to_end(latency, reference, processes)
    environment = first.environment | {
        "rounds": len(latency),
        "requests_per_round": requests,
        "processes": len(set(processes)),
        "reference_drift": drift(reference),
        **{name: max(one.environment.get(name, 0.0) for one in (first, again)) for name in SHARES},
    }
    return Measurement(
        metrics=_mean(first.metrics, again.metrics, share)
        | {"peak_memory_bytes": max(first.metrics["peak_memory_bytes"], again.metrics["peak_memory_bytes"])}
        | whole.metrics,
        intervals=_hull(first.intervals, again.intervals) | whole.intervals,
        latency_ms=latency.tolist(),
        reference_latency_ms=reference.tolist(),
        stages_ms=_mean(first.stages_ms, again.stages_ms, share),
        notes=[*dict.fromkeys([*_other_notes(first), *_other_notes(again)]), *_held_up(environment)],
        environment=environment,
        processes=processes,
    )


def _other_notes(measured: Measurement) -> list[str]:
    """All but those that are written anew of what is pooled."""
    own = _held_up(measured.environment)
    return [note for note in measured.notes if note not in own]


def _held_up(environment: Mapping[str, Any]) -> list[str]:
    waiting, throttled = (environment.get(name, 0.0) for name in SHARES)
    return held_up_notes(waiting, throttled, environment.get("machine", {}).get("cpu_quota"))


def _mean(first: Mapping[str, float], again: Mapping[str, float], share: float) -> dict[str, float]:
    return {name: share * value + (1 - share) * again[name] for name, value in first.items() if name in again}


def _hull(
    first: Mapping[str, tuple[float, float]], again: Mapping[str, tuple[float, float]]
) -> dict[str, tuple[float, float]]:
    return {
        name: (min(low, again[name][0]), max(high, again[name][1]))
        for name, (low, high) in first.items()
        if name in again
    }
