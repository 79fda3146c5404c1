"""From a process's start to its first answer, and what memory it takes: millis' own kernels beside ONNX Runtime.

    python benchmarks/native_start.py [layers=2,6] [rounds=15]

Every start is a process of its own: interpreter, imports, checksums, reading, the session, one answer. Runtimes take
turns in an order that is drawn anew; times in which other processes held the CPU are not counted. Memory is the
process's peak resident set (VmHWM). What is compared are the ratios within a round, their median and quartiles. The row
"python alone" imports what both need (NumPy, the tokenizers) and loads nothing. Files are cached, weights untrained.
"""

import random
import subprocess
import sys
import tempfile
from pathlib import Path
from statistics import median, quantiles
from time import perf_counter_ns

import torch
from results import Table

from native import VARIANTS, untrained

ALONE = "python alone"
REFERENCE = "onnxruntime int8"
LOADING = "from millis.serving.runner import load; load(sys.argv[1]).predict('where is my parcel?')"
NOTHING = "import numpy, tokenizers"
CHILD = """
import sys
from pathlib import Path
{work}
from millis.waiting import waited_ns
peak = next(line.split()[1] for line in Path('/proc/self/status').read_text().splitlines() if line.startswith('VmHWM'))
print(waited_ns(), peak, flush=True)
"""


def main() -> int:
    settings = {"layers": "2,6", "rounds": "15"} | dict(argument.split("=") for argument in sys.argv[1:])
    torch.set_num_threads(1)
    for layers in map(int, settings["layers"].split(",")):
        with tempfile.TemporaryDirectory() as scratch:
            folders = written(Path(scratch), layers)
            names = [ALONE, *folders]
            taken: dict[str, list[tuple[float, float]]] = {name: [] for name in names}
            for turn in range(int(settings["rounds"]) + 1):
                for name in random.Random(turn).sample(names, len(names)):
                    found = start(folders.get(name))
                    if turn:  # the first fills the file cache
                        taken[name].append(found)
        heads = ("ms", "x ORT int8's", "MB", "x ORT int8's memory")
        with Table("runtime", *heads, title=f"{layers} layers x 384, process start to first answer") as table:
            for name in names:
                times, peaks = (
                    cells([one[at] for one in taken[name]], [one[at] for one in taken[REFERENCE]]) for at in (0, 1)
                )
                table.row(name, *times, *peaks)
    return 0


def written(folder: Path, layers: int) -> dict[str, Path]:
    """Name of a runtime → its artifact."""
    made = untrained(layers)
    return {name: made(folder, name, *variant) for name, variant in VARIANTS.items()}


def start(folder: Path | None) -> tuple[float, float]:
    """Milliseconds from the start of a process to its first answer, and its peak memory in MB."""
    work = NOTHING if folder is None else LOADING
    command = [sys.executable, "-c", CHILD.format(work=work), str(folder)]
    begun = perf_counter_ns()
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        line = process.stdout.readline()
        ended = perf_counter_ns()
    if process.returncode or not line:
        raise SystemExit(f"{folder}: the process ended with {process.returncode} and no answer")
    waited, peak_kib = map(int, line.split())
    return (ended - begun - waited) / 1e6, peak_kib * 1024 / 1e6


def cells(ours: list[float], theirs: list[float]) -> tuple[str, str]:
    """Median, and the ratio to the reference within a round with its quartiles."""
    low, middle, high = quantiles([one / other for one, other in zip(ours, theirs, strict=True)], n=4)
    return f"{median(ours):.0f}", f"{middle:.2f} ({low:.2f} to {high:.2f})"


if __name__ == "__main__":
    sys.exit(main())
