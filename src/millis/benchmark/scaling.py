"""Latency against threads, batch size and length, throughput against streams, and the setting a goal asks for.

A stream is a process of its own that answers one request after the other; several run at once on CPUs of their own,
so streams · threads is at most the number of CPUs. Threads and streams are timed end to end on the benchmark's texts;
batch and length are the `compute` stage alone, on features of one shape.
"""

from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from millis.benchmark.isolate import NEW_TOKENS, TIMEOUT_S, Worker
from millis.benchmark.turn import my_turn
from millis.cpus import available_cpus
from millis.errors import MillisError, nearest
from millis.serving.runner import bound_threads
from millis.storage.manifest import Manifest, open_manifest
from millis.types import Text

BATCHES = (1, 2, 4, 8, 16, 32)
LENGTHS = (8, 16, 32, 64, 128, 256, 512)
TYPICAL = 16  # tokens, where the batch varies
GOALS = ("latency", "throughput")


@dataclass(frozen=True)
class Point:
    """One setting, timed.

    Args:
        axis: What varies in its curve: `threads`, `streams`, `batch` or `length`.
        per_second: Texts answered a second, by all streams together.
    """

    axis: str
    threads: int
    streams: int
    batch: int
    length: int | None
    p50_ms: float
    p99_ms: float
    per_second: float


def scale(
    folder: Path,
    texts: Sequence[Text],
    seconds: float,
    timeout_s: float = TIMEOUT_S,
    new_tokens: int = NEW_TOKENS,
) -> list[Point]:
    """Every curve of an artifact; each point takes `seconds` and a process's start.

    Args:
        folder: The artifact.
        texts: Requests, of the task's own test texts.
        seconds: A point is timed for.
        timeout_s, new_tokens: As of `millis.benchmark.isolate.Worker`.

    Raises:
        MillisError: the artifact does not load, or its process died.
    """
    with my_turn():
        return _scale(folder, texts, seconds, timeout_s, new_tokens)


def _scale(folder: Path, texts: Sequence[Text], seconds: float, timeout_s: float, new_tokens: int) -> list[Point]:
    manifest = open_manifest(folder)
    cpus = available_cpus()
    grid = thread_grid(len(cpus) or 1, manifest)
    points = []
    for threads in grid:
        for streams in stream_grid(len(cpus) or 1, threads):
            points.append(_streams(folder, texts, seconds, threads, streams, cpus, timeout_s, new_tokens))
    points = [_on_axis(point, "threads") for point in points if point.streams == 1] + points
    return points + _shapes(folder, manifest, texts, seconds, grid[0], cpus, timeout_s, new_tokens)


def thread_grid(cpus: int, manifest: Manifest) -> list[int]:
    """1, 2, 4, ... and all CPUs; or the one number that the artifact's code is made for."""
    grid = [*(1 << power for power in range(cpus.bit_length()) if 1 << power <= cpus), cpus]
    return sorted({bound_threads(manifest, threads) for threads in grid})


def stream_grid(cpus: int, threads: int) -> list[int]:
    """1, 2, 4, ... and as many streams of `threads` threads as have CPUs of their own."""
    most = max(1, cpus // threads)
    return sorted({*(1 << power for power in range(most.bit_length()) if 1 << power <= most), most})


def tune(points: Sequence[Point], goal: str, bound_ms: float | None) -> Point:
    """The setting that a goal asks for.

    `latency`: of the thread counts, the one with the lowest median. `throughput`: of the streams whose p99 is at most
    `bound_ms`, those that answer most texts a second.

    Raises:
        MillisError: another goal, a throughput without a bound, or a bound that nothing keeps.
    """
    if goal not in GOALS:
        raise MillisError(f"goal={goal!r} is unknown: expected one of {', '.join(GOALS)}{nearest(goal, GOALS)}")
    if goal == "latency":
        return min((point for point in points if point.axis == "threads"), key=lambda point: point.p50_ms)
    if bound_ms is None:
        raise MillisError("goal=throughput needs the latency it may cost: add bound_ms=..., a p99 in milliseconds")
    streams = [point for point in points if point.axis == "streams"]
    kept = [point for point in streams if point.p99_ms <= bound_ms]
    if not kept:
        lowest = min(point.p99_ms for point in streams)
        raise MillisError(
            f"bound_ms={bound_ms:g} is kept by no setting: the lowest p99 is {lowest:.3g} ms. Raise it, or choose a "
            "faster artifact"
        )
    return max(kept, key=lambda point: point.per_second)


def _streams(
    folder: Path,
    texts: Sequence[Text],
    seconds: float,
    threads: int,
    streams: int,
    cpus: Sequence[int],
    timeout_s: float,
    new_tokens: int,
) -> Point:
    with ExitStack() as stack:
        places = [cpus[i * threads :][:threads] for i in range(streams)]
        workers = [
            stack.enter_context(Worker(f"stream {i}", folder, texts[0], threads, place, timeout_s, new_tokens))
            for i, place in enumerate(places, 1)
        ]
        for worker in workers:
            worker.ask({"texts": list(texts)})
            worker.ask({"stream": {"seconds": min(0.5, seconds)}})  # warm
        for worker in workers:
            worker.send({"stream": {"seconds": seconds}})
        answers = [worker.receive(expected_s=seconds) for worker in workers]
    taken = np.concatenate([answer["latency_ms"] for answer in answers])
    rate = sum(len(answer["latency_ms"]) / answer["seconds"] for answer in answers)
    return _point("streams", threads, streams, 1, None, taken, rate)


def _shapes(
    folder: Path,
    manifest: Manifest,
    texts: Sequence[Text],
    seconds: float,
    threads: int,
    cpus: Sequence[int],
    timeout_s: float,
    new_tokens: int,
) -> list[Point]:
    lengths = [length for length in LENGTHS if length <= manifest.max_length] or [manifest.max_length]
    typical = min(TYPICAL, manifest.max_length)
    shapes = [("batch", batch, typical) for batch in BATCHES] + [("length", 1, length) for length in lengths]
    points: list[Point] = []
    with Worker("the shapes' process", folder, texts[0], threads, cpus[-threads:], timeout_s, new_tokens) as worker:
        worker.ask({"texts": list(texts)})
        for axis, batch, length in shapes:
            # Eight at least, of a shape that costs up to four times the last one's: twice the length, squared.
            expected_s = seconds + (8 * 4 * points[-1].p50_ms / 1e3 if points else 0.0)
            shape = {"batch": batch, "length": length, "seconds": seconds}
            taken = np.array(worker.ask({"shape": shape}, expected_s))
            points.append(_point(axis, threads, 1, batch, length, taken, 1e3 * batch / float(np.median(taken))))
    return points


def _point(
    axis: str, threads: int, streams: int, batch: int, length: int | None, taken: "np.ndarray", rate: float
) -> Point:
    return Point(
        axis, threads, streams, batch, length, float(np.median(taken)), float(np.quantile(taken, 0.99)), float(rate)
    )


def _on_axis(point: Point, axis: str) -> Point:
    return Point(axis, *(getattr(point, name) for name in list(Point.__dataclass_fields__)[1:]))
