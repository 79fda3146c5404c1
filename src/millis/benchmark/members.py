"""Both members of a cascade, timed on the same texts before there is a cascade: what its threshold is steered by."""

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


def stages_of(artifacts: Mapping[str, Path], texts: Sequence[Text], options: Options) -> dict[str, NDArray[np.float64]]:
    """Milliseconds of each text's four stages in each artifact, [N, 4]; a fresh process each, in turns.

    Raises:
        MillisError: an artifact that does not load, or whose process died.
    """
    cpus, order = options.cpus(), list(range(len(texts)))
    with my_turn(), ExitStack() as stack:
        workers = {
            name: stack.enter_context(Worker(name, folder, texts[0], options.threads, cpus))
            for name, folder in artifacts.items()
        }
        taken: dict[str, list[list[list[int]]]] = {name: [] for name in workers}
        for worker in workers.values():
            worker.ask({"texts": list(texts)})
        for _ in range(1 + PASSES):  # the first is a warm-up: every length is met in it
            for name, worker in workers.items():
                taken[name].append(worker.ask({"burst": {"order": order, "settle_ms": options.settle_ms}}))
    return {name: np.median(milliseconds(stamps[1:]), axis=0) for name, stamps in taken.items()}
