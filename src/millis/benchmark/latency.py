"""Latency end to end, text in to prediction out, one request at a time, beside a reference on the same machine.

Every artifact runs in a process of its own, pinned to the same CPUs, one awake at a time. After warm-up they take turns
in rounds: in a round each one, the reference included, answers the same texts, in an order drawn anew. What is compared
is what happened within a round, so a machine that slows down slows both sides of a ratio (paired comparison; fresh
processes, warm-up and intervals after Georges, Buytaert and Eeckhout 2007, "Statistically Rigorous Java Performance
Evaluation").
"""

import random
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from math import ceil
from pathlib import Path
from statistics import median
from types import TracebackType
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from millis.applications.manifest import bytes_of
from millis.benchmark.address import check_address
from millis.benchmark.environment import environment
from millis.benchmark.isolate import NEW_TOKENS, TIMEOUT_S, Worker
from millis.benchmark.notes import drift_note, held_up_notes, slow_note
from millis.benchmark.sampling import stratified
from millis.benchmark.statistics import (
    WRITE,
    drift,
    guessed,
    merged,
    milliseconds,
    stage_metric,
    summarise,
    throttled_share,
    waiting_share,
    writing,
)
from millis.benchmark.turn import my_turn
from millis.cpus import affinity, available_cpus
from millis.errors import MillisError
from millis.metrics.rounds import requests_for
from millis.serving.runner import crowded
from millis.types import Text

REFERENCE = "the reference"  # what messages call it
HERE = "here"  # the machine that runs this
NOT_HOW = ("where", "timeout_s", "patience_s")  # options on which no latency depends; of `where`, see `site`
FEWEST_REQUESTS = 3  # in a round: the least that has a median other than its mean or its only value


@dataclass(frozen=True)
class Options:
    """How to measure. The defaults take about 7 s a small model, of which a 13 ms reference's share is 5.

    Many short rounds rather than few long ones: a neighbour's load comes and goes within seconds, and both sides of a
    ratio must have met the same. Several processes rather than one: where its memory came to lie makes one of a small
    model (0.1 ms) faster by some percent than the next, for as long as it lives.

    Args:
        threads: For one request's arithmetic.
        affinity: CPUs to pin to; None takes the highest-numbered of those allowed, since CPU 0 serves most interrupts.
        rounds: R, at least: `quantile` may ask for more. 300 requests are plenty for a median and tell little of a p99.
        requests: In a round.
        quantile: Of latency, that is to be judged, 0..1: there are as many rounds as its interval takes
            (`millis.metrics.rounds.requests_for`), whatever `seconds` says. 0.99 takes 1,022 requests. A budget or an
            objective on a p99 sets it; None judges the median.
        settle_ms: Untimed requests before each burst, to get the caches back from the others.
        steady_windows: Warm-up ends when the medians of so many passes over one round's texts ...
        steady_tolerance: ... lie within this share of each other ...
        warmup_seconds: ... or after this long, which is then noted.
        seconds: Most time an artifact is timed for; slower ones (and whom they are compared with) get fewer requests.
        processes: Fresh ones of each artifact, which take the rounds in turn; a cold start is their median. What they
            differ by is in every interval, by Student's distribution: with three it would be half as wide again.
        new_tokens: Of models that write, how many they write for each prompt, whatever these are: texts of one length
            compare.
        drift: Share by which the reference's medians may range over the rounds before it is noted.
        seed: Of the texts drawn and the order of turns.
        where: `here`, or the address of a measuring agent (`millis agent`), as `http://HOST:PORT`: the machine that
            the latencies are to be of. See `millis.benchmark.where`.
        timeout_s: Most silence of a process that is timed before it is taken for hung and ended; work that is known to
            take longer has 20 times what it is expected to take.
        patience_s: How long an agent that does not answer is tried again before the measurement fails.
    """

    threads: int = 1
    affinity: tuple[int, ...] | None = None
    rounds: int = 30
    requests: int = 10
    quantile: float | None = None
    settle_ms: float = 5.0
    steady_windows: int = 3
    steady_tolerance: float = 0.05
    warmup_seconds: float = 3.0
    seconds: float = 10.0
    processes: int = 4
    new_tokens: int = NEW_TOKENS
    drift: float = 0.2
    seed: int = 0
    where: str = HERE
    timeout_s: float = TIMEOUT_S
    patience_s: float = 300.0

    def __post_init__(self) -> None:
        for name in ("threads", "rounds", "requests", "steady_windows", "processes"):
            if getattr(self, name) < 1:
                raise MillisError(f"benchmark.{name}={getattr(self, name)} measures nothing: expected 1 or more")
        if self.new_tokens < 2:
            raise MillisError(f"benchmark.new_tokens={self.new_tokens}: expected at least 2; the first is timed apart")
        if self.quantile is not None and not 0 < self.quantile < 1:
            raise MillisError(
                f"benchmark.quantile={self.quantile}: expected a share of the requests between 0 and 1, such as 0.99 "
                "for a p99, or null for the median"
            )
        if self.processes > self.rounds:
            raise MillisError(
                f"benchmark.processes={self.processes} take turns in benchmark.rounds={self.rounds}: some would never "
                "be timed. Expected at most as many processes as rounds"
            )
        if not (self.timeout_s > 0 and self.patience_s >= 0):
            raise MillisError(
                f"benchmark.timeout_s={self.timeout_s} and benchmark.patience_s={self.patience_s} are times to wait: "
                "expected seconds, more than 0 and at least 0"
            )
        if self.where != HERE:
            check_address(self.where)

    @property
    def needed(self) -> int:
        """The least requests that `quantile` takes; 0 where none was named."""
        return 0 if self.quantile is None else requests_for(self.quantile)

    @property
    def turns(self) -> int:
        """Rounds of `requests` each: `rounds`, or as many as `quantile` takes."""
        return max(self.rounds, ceil(self.needed / self.requests))

    def cpus(self) -> list[int]:
        """The CPUs that workers are pinned to; empty where the system cannot pin.

        More threads than CPUs get all of them, and a note (`crowded`).

        Raises:
            MillisError: CPUs that are not there, or fewer named than threads.
        """
        allowed = available_cpus()
        if not allowed:
            return []
        cpus = allowed[-self.threads :] if self.affinity is None else list(self.affinity)
        if foreign := sorted(set(cpus) - {*allowed, *affinity()}):  # a quota says how many at once, not which
            raise MillisError(
                f"benchmark.affinity names CPUs {foreign}, this process may use {allowed}. Choose from these"
            )
        if self.affinity is not None and len(set(cpus)) < self.threads:
            raise MillisError(
                f"benchmark.threads={self.threads} on {len(set(cpus))} CPUs would time threads waiting for each other: "
                f"expected at most one thread a CPU, this process may use {allowed}. Lower threads or widen affinity"
            )
        return cpus

    def crowded(self) -> str | None:
        """A warning where there are more threads than CPUs to run them."""
        return crowded(self.threads)


@dataclass(frozen=True)
class Measurement:
    """One artifact, measured.

    Args:
        metrics: `latency_p50_ms`, `latency_p90_ms`, `latency_p99_ms` (end to end), `speedup`, `size_bytes`,
            `peak_memory_bytes`, `cold_start_ms` (process start to first answer: interpreter, imports, checksums,
            weights from a warm disk cache, one request), each stage's median, and `model_p50_ms` (all but tokenize). Of
            models that write also those of `millis.benchmark.statistics.writing`.
        intervals: 95 %, under the same names where there is more than one sample; see `millis.metrics.rounds`.
        latency_ms: Raw end-to-end samples, [R][requests].
        reference_latency_ms: The reference's in the same rounds, [R][requests].
        stages_ms: Stage → median.
        notes: What a reader must know.
        environment: See `millis.benchmark.environment`; also threads, affinity and how it was measured.
        processes: Which of the artifact's processes served each round, [R].
    """

    metrics: dict[str, float]
    intervals: dict[str, tuple[float, float]]
    latency_ms: list[list[float]]
    reference_latency_ms: list[list[float]]
    stages_ms: dict[str, float]
    notes: list[str]
    environment: dict[str, Any]
    processes: list[int] = field(default_factory=list)


class Bench:
    """Keeps the reference's process alive, so that measuring one more candidate costs only the candidate.

    Use as a context manager: leaving it ends every process.

    Args:
        reference: Artifact that speed-ups are over.
        texts: The task's own test texts; requests are drawn from these, so their lengths are the real ones.
        options: How to measure.

    Raises:
        MillisError: no texts, CPUs that are not there, or a reference that does not load.
    """

    def __init__(self, reference: Path, texts: Sequence[Text], options: Options) -> None:
        if not texts:
            raise MillisError(
                "there are no texts to measure latency with: expected the test split's. Check the data's test split"
            )
        self.reference, self.options = reference, options
        self.cpus = options.cpus()
        # Workers get to see the drawn texts only, each once; orders are positions in that list, [R][requests].
        draws = stratified(texts, options.turns, options.requests, options.seed)
        used = sorted({i for draw in draws for i in draw})
        position = {i: row for row, i in enumerate(used)}
        self._texts = [texts[i] for i in used]
        self._orders = [[position[i] for i in draw] for draw in draws]
        self._served_by = [turn % options.processes for turn in range(options.turns)]
        self._stack = ExitStack()
        try:
            with my_turn():
                self._reference = self._start(REFERENCE, reference, self._stack)
        except BaseException:
            self.close()
            raise

    def measure(self, artifacts: Mapping[str, Path]) -> dict[str, Measurement]:
        """Measure `artifacts` (name → folder) together, in turns with the reference.

        One that is the reference's own folder gets the reference's samples and a speed-up of 1.

        Raises:
            MillisError: an artifact that does not load, or whose process died.
        """
        others = [name for name in artifacts if artifacts[name].resolve() != self.reference.resolve()]
        with my_turn(), ExitStack() as stack:
            machine = environment()
            quota = machine["machine"]["cpu_quota"]
            everyone = [self._reference, *(self._start(name, artifacts[name], stack) for name in others)]
            requests = self._affordable(max(one.median_ms for one in everyone))
            taken = self._take_turns(everyone, requests)
            counted = [one.counted() for one in everyone]
        shared = machine | self._environment(requests)
        wanted, seconds = self.options.requests, self.options.seconds
        notes = [] if requests == wanted else [slow_note(requests, wanted, seconds)]
        if (crowding := self.options.crowded()) is not None:
            notes.append(crowding)
        if WRITE in self._reference.workers[0].stages:
            notes.append(f"times are of a prompt and the {self.options.new_tokens} tokens that are written after it")
        if not self.cpus:
            notes.append("processes were not pinned: this system cannot")
        stages = [milliseconds(stamps) for stamps in taken]
        reference_ms = stages[0].sum(axis=2)
        if (moved := drift(reference_ms)) > self.options.drift:
            notes.append(drift_note(moved, self.options.drift))
        shared["reference_drift"] = moved
        reports = []
        for row, one in enumerate(everyone):
            report = self._report(one, stages[row], reference_ms, counted[row], taken[row], quota)
            reports.append(replace(report, notes=[*notes, *report.notes], environment=shared | report.environment))
        # The reference sits at 0, the others after it.
        return {name: reports[others.index(name) + 1 if name in others else 0] for name in artifacts}

    def close(self) -> None:
        """End the reference's process."""
        self._stack.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()

    def _start(self, name: str, folder: Path, stack: ExitStack) -> "_Ready":
        size, options = bytes_of(folder), self.options
        workers = [
            stack.enter_context(
                Worker(name, folder, self._texts[0], options.threads, self.cpus, options.timeout_s, options.new_tokens)
            )
            for _ in range(options.processes)
        ]
        warm = [self._warm(worker) for worker in workers]
        return _Ready(
            name,
            workers,
            size,
            cold_start_ms=median(worker.cold_start_ms for worker in workers),
            median_ms=median(one["median_ms"] for one in warm),
            steady=all(one["steady"] for one in warm),
            warm_requests=sum(one["requests"] for one in warm),
        )

    def _warm(self, worker: Worker) -> dict[str, Any]:
        options = self.options
        worker.ask({"texts": self._texts})
        window = {
            "window": self._orders[0],
            "tolerance": options.steady_tolerance,
            "windows": options.steady_windows,
            "seconds": options.warmup_seconds,
        }
        answer: dict[str, Any] = worker.ask({"warm": window})
        return answer

    def _affordable(self, slowest_ms: float) -> int:
        """Requests a round that keep the slowest artifact within `options.seconds`, or that its quantile takes."""
        turns = self.options.turns
        affordable = int(self.options.seconds * 1e3 / (slowest_ms * turns))
        return min(self.options.requests, max(FEWEST_REQUESTS, affordable, ceil(self.options.needed / turns)))

    def _take_turns(self, everyone: "list[_Ready]", requests: int) -> list[list[list[list[int]]]]:
        """Readings [artifacts][R][requests][stages + 3], see `millis.benchmark.statistics.milliseconds`."""
        chance = random.Random(self.options.seed)
        taken: list[list[list[list[int]]]] = [[] for _ in everyone]
        for turn, order in enumerate(self._orders):
            texts = [order[int((i + 0.5) * len(order) / requests)] for i in range(requests)]  # all, or evenly spaced
            burst = {"order": texts, "settle_ms": self.options.settle_ms}
            chance.shuffle(texts)
            for row in chance.sample(range(len(everyone)), len(everyone)):
                one = everyone[row]
                worker = one.workers[self._served_by[turn]]
                taken[row].append(worker.ask({"burst": burst}, expected_s=requests * one.median_ms / 1e3))
        return taken

    def _environment(self, requests: int) -> dict[str, Any]:
        options = self.options
        return {
            "threads": options.threads,
            "affinity": self.cpus,
            "processes": options.processes,
            "rounds": options.turns,
            "requests_per_round": requests,
            "seed": options.seed,
        }

    def _report(
        self,
        one: "_Ready",
        stages: NDArray[np.float64],
        reference_ms: NDArray[np.float64],
        counted: Mapping[str, float],
        taken: Sequence[Sequence[Sequence[int]]],
        quota: float | None,
    ) -> Measurement:
        names = one.workers[0].stages
        summary = summarise(names, stages, reference_ms, self._served_by)
        if WRITE in names:
            summary = merged(summary, writing(names, stages, self.options.new_tokens, self._served_by))
        waiting, throttled = waiting_share(taken), throttled_share(taken)
        notes = held_up_notes(waiting, throttled, quota)
        if not one.steady:
            tried = f"{self.options.warmup_seconds:g} s, {one.warm_requests} requests"
            notes.append(f"latency was not steady after warming up for {tried}")
        return Measurement(
            metrics={
                **summary.metrics,
                "size_bytes": float(one.size_bytes),
                **counted,
                "cold_start_ms": one.cold_start_ms,
            },
            intervals=summary.intervals,
            latency_ms=stages.sum(axis=2).tolist(),
            reference_latency_ms=reference_ms.tolist(),
            stages_ms={stage: summary.metrics[stage_metric(stage)] for stage in names},
            notes=notes,
            environment={
                "warmup_requests": one.warm_requests,
                "waiting_share": waiting,
                "throttled_share": throttled,
            },
            processes=self._served_by,
        )


@dataclass(frozen=True)
class _Ready:
    """An artifact's workers, warm."""

    name: str
    workers: list[Worker]
    size_bytes: int
    cold_start_ms: float
    median_ms: float
    steady: bool
    warm_requests: int

    def counted(self) -> dict[str, float]:
        """Peak memory, and of what writes how many guesses were right, as the processes say before they end."""
        found = {"peak_memory_bytes": float(max(worker.ask({"peak": None}) for worker in self.workers))}
        if WRITE not in self.workers[0].stages:
            return found
        return found | guessed([worker.ask({"guesses": None}) for worker in self.workers])
