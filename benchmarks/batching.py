"""Would a server answer more requests by computing several at once? Texts a second of one thread, by texts in a batch.

    python benchmarks/batching.py FOLDER FOLDER ... [rounds=7] [tokens=16]

All texts of a batch have the same length, so that nothing is padded: the most that batching could bring. A batch's
time is that of `Runner.compute` alone, for tokens are read and answers made one by one in any case. Batches of all
sizes take turns; the median round is told, as a multiple of what requests one by one reach.
"""

import sys
import time
from statistics import median

import numpy as np
from results import Table

from millis.serving.runner import load
from millis.types import Features

BATCHES = (1, 2, 4, 8, 16)
SECONDS = 0.2  # a batch size and round


def main() -> int:
    options = {"rounds": "7", "tokens": "16"}
    options |= dict(argument.split("=", 1) for argument in sys.argv[1:] if "=" in argument)
    folders = [argument for argument in sys.argv[1:] if "=" not in argument]
    with Table("artifact", "texts/s one by one", *(f"batch {size}" for size in BATCHES[1:])) as table:
        for folder in folders:
            runner = load(folder)
            rates: dict[int, list[float]] = {size: [] for size in BATCHES}
            for _ in range(int(options["rounds"])):
                for size in BATCHES:
                    rates[size].append(rate(runner, size, int(options["tokens"])))
            alone = median(rates[1])
            gains = [median(b / a for a, b in zip(rates[1], rates[size], strict=True)) for size in BATCHES[1:]]
            table.row(runner.manifest.name, f"{alone:.0f}", *(f"{gain:.2f}×" for gain in gains))
    return 0


def rate(runner, size: int, tokens: int) -> float:
    """Texts a second, `size` at a time."""
    one = np.arange(tokens, dtype=np.int64) % 100 + 1000
    ids, ones = np.tile(one, (size, 1)), np.ones((size, tokens), np.int64)
    types = np.zeros_like(ids) if "token_type_ids" in runner.manifest.inputs else None
    features, done = Features(ids, ones, types), 0
    runner.compute(features)
    start = time.perf_counter()
    while (elapsed := time.perf_counter() - start) < SECONDS:
        runner.compute(features)
        done += size
    return done / elapsed


if __name__ == "__main__":
    sys.exit(main())
