"""The process that is timed: `python -m millis.benchmark.worker ARTIFACT THREADS CPUS`.

It pins itself before anything heavy is imported, loads one artifact (machine code as well: whether that is trusted was
settled before anybody asked for a worker), and answers JSON lines on standard output until
standard input ends. Between requests it blocks, so it costs its neighbours nothing. What libraries print goes to
standard error.

Requests, one key each:
    first: {...}              see `_Timer.first`, which ends the cold start; value: {"waited_ns", "stages": [name]}, see
                              `millis.waiting.waited_ns` and `millis.serving.one_pass.Runner.stages`
    texts: [text]             remember these; the numbers below are positions in this list
    warm: {...}               see `_Timer.warm`; value: {"steady", "requests", "median_ms"}
    burst: {...}              see `_Timer.burst`; value: [requests][stages + 3], nanoseconds
    shape: {...}              see `_Timer.shape`; value: [requests], milliseconds
    stream: {...}             see `_Timer.stream`; value: {"seconds", "latency_ms"}
    guesses: null             value: {"accepted", "refused"}: of all timed requests of a model that writes
    peak: null                value: peak resident memory, bytes

While it warms up, which may take long, it writes an empty line every few requests: it is alive.
"""

import json
import os
import sys
from typing import IO, TYPE_CHECKING, Any

from millis.waiting import waited, waited_ns

if TYPE_CHECKING:
    from collections.abc import Callable

    from millis.types import Text

ALIVE = b"\n"  # the line before an answer that may be long in coming


class _Timer:
    """Times requests against one runner, of an artifact or of an application, of which shapes alone are not timed.

    `alive` is called where nothing is timed, every few requests.
    """

    def __init__(self, runner: Any, alive: "Callable[[], None]") -> None:
        self.runner, self.alive = runner, alive
        self.texts: list[Text] = []
        self.guesses = {"accepted": 0, "refused": 0}

    def first(self, text: Any, new_tokens: int) -> dict[str, Any]:
        """Answer `text`; what writes gives every request `new_tokens` from then on (`millis.serving.writer`)."""
        names = [name for name, _ in self.runner.stages]
        if "write" in names:
            from millis.serving.writer import Writer

            assert isinstance(self.runner, Writer), "nothing else has such a stage"
            self.runner.at_length(new_tokens)
        self.runner.predict(self._request(text))
        return {"waited_ns": waited_ns(), "stages": names}

    def remember(self, texts: list[Any]) -> None:
        self.texts = [self._request(text) for text in texts]

    def _request(self, value: Any) -> "Text":
        asked: Text = self.runner.request(tuple(value) if isinstance(value, list) else value)
        return asked

    def warm(self, window: list[int], tolerance: float, windows: int, seconds: float) -> dict[str, Any]:
        """Run until steady: the medians of the last `windows` passes over `window` lie within `tolerance`.

        One request of every distinct token length comes first: runtimes plan memory and pick kernels by shape.

        Args:
            window: Positions of the texts in one pass.
            tolerance: (max - min) / min of the medians.
            windows: How many passes must agree.
            seconds: Give up after this long; `steady` then is False.
        """
        from statistics import median
        from time import perf_counter

        one_each = {self.runner.shape(self.texts[i]): i for i in range(len(self.texts))}
        end = perf_counter() + seconds
        for position in one_each.values():
            self.stamps([position])
            self.alive()
        requests, medians = len(one_each), []
        while True:
            medians.append(median(stamp[-3] - stamp[0] - stamp[-2] for stamp in self.stamps(window)) / 1e6)
            requests += len(window)
            self.alive()
            last = medians[-windows:]
            steady = len(last) == windows and max(last) - min(last) <= tolerance * min(last)
            if steady or perf_counter() > end:
                return {"steady": steady, "requests": requests, "median_ms": medians[-1]}

    def burst(self, order: list[int], settle_ms: float) -> list[tuple[int, ...]]:
        """Time the texts at `order` after untimed requests for `settle_ms`, at least two: others had the caches."""
        from time import perf_counter_ns

        end, done = perf_counter_ns() + int(settle_ms * 1e6), 0
        while done < 2 or perf_counter_ns() < end:
            self.runner.predict(self.texts[order[done % len(order)]])
            done += 1
        return self.stamps(order)

    def shape(self, batch: int, length: int, seconds: float) -> list[float]:
        """Milliseconds of computing features of one shape [batch, length], again and again for `seconds`.

        Each row is another text, so that a model which spends less on some of them does so in a batch as it would.
        """
        from time import perf_counter

        import numpy as np

        from millis.serving.reader import with_texts
        from millis.types import Features

        fed = [self.runner.feed(self.runner.tokenize(self.texts[row % len(self.texts)])) for row in range(batch)]
        ids = np.stack([np.resize(one.ids[0], length) for one in fed])
        types = None if fed[0].token_types is None else np.zeros_like(ids)
        features = with_texts(Features(ids, np.ones_like(ids), types), fed)
        compute = self.runner.compute
        taken: list[float] = []
        for _ in range(3):
            compute(features)
        end = perf_counter() + seconds
        while len(taken) < 5 or perf_counter() < end:
            before, start = waited_ns(), perf_counter()
            compute(features)
            taken.append(1e3 * (perf_counter() - start) - (waited_ns() - before) / 1e6)
        return taken

    def stream(self, seconds: float) -> dict[str, Any]:
        """Answer one text after the other for `seconds`, as a busy server does. Waiting for the CPU is part of it."""
        from time import perf_counter

        predict, texts = self.runner.predict, self.texts
        taken: list[float] = []
        begin = now = perf_counter()
        while now < begin + seconds or not taken:
            start = now
            predict(texts[len(taken) % len(texts)])
            now = perf_counter()
            taken.append(1e3 * (now - start))
        return {"seconds": now - begin, "latency_ms": taken}

    def stamps(self, order: Any) -> list[tuple[int, ...]]:
        """Readings of each request, [requests][K + 3], nanoseconds: K + 1 of the clock around the K stages, and how
        long the request waited for other processes and for its quota (`millis.waiting.Waited`). No garbage collection
        meanwhile."""
        import gc
        from time import perf_counter_ns as clock

        stamps: list[tuple[int, ...]] = []
        names, stages = zip(*self.runner.stages, strict=True)
        texts = [self.texts[i] for i in order]
        gc.collect()
        gc.disable()
        after = waited()
        try:
            for text in texts:
                before, given = after, text
                readings = [clock()]
                for stage in stages:
                    given = stage(given)
                    readings.append(clock())
                after = waited()
                others, throttled = after.others - before.others, after.throttled - before.throttled
                stamps.append((*readings, others, throttled))
                if "write" in names:
                    self.guesses["accepted"] += given.accepted
                    self.guesses["refused"] += given.refused
        finally:
            gc.enable()
        return stamps


def peak_memory_bytes() -> int:
    """Most memory this process ever held resident."""
    try:
        # Not getrusage: on Linux it remembers the parent this process was forked from.
        with open("/proc/self/status", encoding="ascii") as status:  # noqa: PTH123 pathlib costs a cold start 10 ms
            return next(int(line.split()[1]) * 1024 for line in status if line.startswith("VmHWM:"))
    except (OSError, StopIteration):
        import resource

        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        return peak if sys.platform == "darwin" else peak * 1024


def main(arguments: list[str]) -> None:
    """Serve `arguments` = [artifact, threads, comma-separated CPUs] until standard input ends."""
    artifact, threads, cpus = arguments
    if cpus:
        os.sched_setaffinity(0, [int(cpu) for cpu in cpus.split(",")])
    answers = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)
    try:
        from millis.errors import MillisError

        try:
            from millis.applications.runner import load

            timer = _Timer(load(artifact, int(threads), trust_code=True), lambda: _say(answers, ALIVE.decode()))
            _freeze()
            _serve(timer, answers)
        except MillisError as error:
            _answer(answers, {"error": str(error)})
    except (BrokenPipeError, KeyboardInterrupt):  # the parent is gone or leaving
        pass


def _serve(timer: _Timer, answers: IO[str]) -> None:
    handlers: dict[str, Any] = {
        "first": lambda options: timer.first(**options),
        "texts": timer.remember,
        "warm": lambda options: timer.warm(**options),
        "burst": lambda options: timer.burst(**options),
        "shape": lambda options: timer.shape(**options),
        "stream": lambda options: timer.stream(**options),
        "guesses": lambda _: timer.guesses,
        "peak": lambda _: peak_memory_bytes(),
    }
    for line in sys.stdin:
        ((key, value),) = json.loads(line).items()
        _answer(answers, {"value": handlers[key](value)})


def _freeze() -> None:
    """Take what loading left out of every later collection."""
    import gc

    gc.collect()
    gc.freeze()


def _answer(answers: IO[str], answer: dict[str, Any]) -> None:
    _say(answers, json.dumps(answer) + "\n")


def _say(answers: IO[str], line: str) -> None:
    answers.write(line)
    answers.flush()


if __name__ == "__main__":
    main(sys.argv[1:])
