"""From files to the first answer: how long does an artifact take to load, from a cold file cache and from a warm one?

    python benchmarks/load_time.py FOLDER FOLDER ... [rounds=9] [threads=1] [text=...]

The first artifact is the reference. Every load has a fresh process, which imports its runtime first; then the clock
runs over checksums, reading, decoding, the session and one answer. Artifacts take turns in an order drawn anew, and
what is compared is the ratio within a round. Time in which other processes held the CPU is not counted; waiting for the
disk is.

Cold: just before, the artifact's own files are dropped from the page cache (`posix_fadvise` with DONTNEED, which needs
no privileges), and how much of them was still there is told. Libraries and the interpreter stay cached: they are the
same for all.
"""

import os
import random
import subprocess
import sys
from pathlib import Path
from statistics import median, quantiles

from results import Table

from millis.storage.manifest import open_manifest, size_bytes

CHILD = """
import sys, time, importlib
folder, threads, text = sys.argv[1], int(sys.argv[2]), sys.argv[3]
from pathlib import Path
from millis import backends
from millis.serving.runner import load
from millis.waiting import waited_ns
from millis.storage.codecs import codec
from millis.storage.manifest import open_manifest
backends.module(sys.argv[4])
for library in sys.argv[5].split():
    importlib.import_module(library)
start, waited = time.perf_counter_ns(), waited_ns()
load(folder, threads).predict(text)
print((time.perf_counter_ns() - start - (waited_ns() - waited)) / 1e6)
"""
RUNTIMES = {"eager": "torch transformers.models.bert.modeling_bert", "onnxruntime": "onnxruntime"}
PAGE = 4096


def main() -> int:
    options = {"rounds": "9", "threads": "1", "text": "where is my parcel?"}
    options |= dict(argument.split("=", 1) for argument in sys.argv[1:] if "=" in argument)
    folders = [Path(argument) for argument in sys.argv[1:] if "=" not in argument]
    manifests = {folder: open_manifest(folder) for folder in folders}
    chance, left = random.Random(0), []
    taken: dict[tuple[Path, str], list[float]] = {(folder, how): [] for folder in folders for how in ("cold", "warm")}
    for _ in range(int(options["rounds"])):
        for how in ("cold", "warm"):
            for folder in chance.sample(folders, len(folders)):
                if how == "cold":
                    left.append(drop(folder))
                runtime = manifests[folder].backend
                command = [sys.executable, "-c", CHILD, str(folder), options["threads"], options["text"], runtime]
                done = subprocess.run([*command, RUNTIMES[runtime]], capture_output=True, text=True, check=True)
                taken[folder, how].append(float(done.stdout.split()[-1]))
    with Table("artifact", "MB", "cold ms", "cold ratio", "warm ms", "warm ratio") as table:
        for folder, manifest in manifests.items():
            cells = [cell for how in ("cold", "warm") for cell in cells_of(taken[folder, how], taken[folders[0], how])]
            table.row(manifest.name, f"{size_bytes(manifest) / 1e6:.2f}", *cells)
    print(f"\nratio: median of the rounds' (quartiles), below 1 is faster than {manifests[folders[0]].name}")
    print(f"of the artifacts' pages {max(left):.1%} at most were still cached when a cold load began")
    return 0


def cells_of(one: list[float], reference: list[float]) -> tuple[str, str]:
    """Median milliseconds, and the ratio to the reference with its quartiles."""
    ratios = [mine / its for mine, its in zip(one, reference, strict=True)]
    low, middle, high = quantiles(ratios, n=4)
    return f"{median(one):.0f}", f"{middle:.2f} ({low:.2f} to {high:.2f})"


def drop(folder: Path) -> float:
    """Take the artifact's files out of the page cache; the share of their pages that stayed."""
    pages = cached = 0
    for path in folder.iterdir():
        handle = os.open(path, os.O_RDONLY)
        try:
            os.fsync(handle)  # pages that are not written yet cannot be dropped
            os.posix_fadvise(handle, 0, 0, os.POSIX_FADV_DONTNEED)
            offsets = range(0, path.stat().st_size, 64 * PAGE)
            pages, cached = pages + len(offsets), cached + sum(is_cached(handle, offset) for offset in offsets)
        finally:
            os.close(handle)
    return cached / max(pages, 1)


def is_cached(handle: int, offset: int) -> bool:
    """Whether a byte can be read without waiting for the disk."""
    try:
        return os.preadv(handle, [bytearray(1)], offset, os.RWF_NOWAIT) == 1
    except BlockingIOError:
        return False


if __name__ == "__main__":
    sys.exit(main())
