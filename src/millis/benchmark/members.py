"""Both members of a cascade, timed on the same texts before there is a cascade: what its threshold is steered by."""

import time
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from millis.benchmark.isolate import Worker
from millis.benchmark.latency import Options
from millis.benchmark.statistics import milliseconds
from millis.benchmark.turn import my_turn
from millis.types import Text

PASSES = 3  # over all texts, in turns; the median of a text's counts
SLICE = 50  # texts of the first pass that are waited for together


def stages_of(
    artifacts: Mapping[str, Path], texts: Sequence[Text], options: Options
) -> dict[str, dict[str, NDArray[np.float64]]]:
    """Milliseconds of each text, [N], in each stage of each artifact; a fresh process each, in turns.

    Raises:
        MillisError: an artifact that does not load, or whose process died.
    """
    cpus, order = options.cpus(), list(range(len(texts)))
    with my_turn(), ExitStack() as stack:
        workers = {
            name: stack.enter_context(
                Worker(name, folder, texts[0], options.threads, cpus, options.timeout_s, options.new_tokens)
            )
            for name, folder in artifacts.items()
        }
        taken: dict[str, list[list[list[int]]]] = {name: [] for name in workers}
        pass_s = {name: _warm(worker, texts) for name, worker in workers.items()}
        for _ in range(PASSES):
            for name, worker in workers.items():
                burst = {"order": order, "settle_ms": options.settle_ms}
                taken[name].append(worker.ask({"burst": burst}, expected_s=pass_s[name]))
    medians = {name: np.median(milliseconds(stamps), axis=0) for name, stamps in taken.items()}
    return {name: dict(zip(workers[name].stages, medians[name].T, strict=True)) for name in workers}


def _warm(worker: Worker, texts: Sequence[Text]) -> float:
    """Meet every length once; the seconds that it took."""
    worker.ask({"texts": list(texts)})
    start = time.monotonic()
    for begin in range(0, len(texts), SLICE):
        some = list(range(begin, min(begin + SLICE, len(texts))))
        worker.ask({"burst": {"order": some, "settle_ms": 0}})
    return time.monotonic() - start
