"""Untouched defaults on data sets that nobody tuned them to: what does a user get, and how long does it take?

    python benchmarks/unseen.py FOLDER FOLDER:scratch ... [key=value ...]

Each folder is a data set as `data=local` reads it; `:scratch` takes `model=scratch` for a language that the default
teacher does not know. Runs `millis sweep` on each, one after the other, and prints one table: the most frequent label,
the linear model, teacher, int8, and the members of the frontier, with † and ↑ as in every table. Nothing that lies
trained already is trained again, so a run that was broken off goes on.
"""

import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

from results import Table

from millis.record import Record, read_records
from millis.report.tables import frontier_rows
from millis.sweep.frontier import frontier
from millis.units import half_width, show

COLUMNS = ("data", "model", "quality", "p50 ms", "speed-up", "size")


def main() -> int:
    folders = [argument for argument in sys.argv[1:] if "=" not in argument]
    overrides = [argument for argument in sys.argv[1:] if "=" in argument]
    with Table(*COLUMNS) as table:
        for folder in folders:
            path, _, model = folder.partition(":")
            started = time.monotonic()
            records = swept(Path(path), [*overrides, *([f"model={model}"] if model else [])])
            for row in rows(Path(path).name, records, time.monotonic() - started):
                table.row(*row)
    return 0


def swept(folder: Path, overrides: list[str]) -> list[Record]:
    """The records of a sweep with defaults, in a process of its own, as a user runs it."""
    command = ["millis", "sweep", "data=local", f"data.path={folder}", "logger=none", *overrides]
    run = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True)
    place = next(line.split(maxsplit=1)[1] for line in run.stdout.splitlines() if line.startswith("records"))
    return read_records(Path(place))


def rows(data: str, records: list[Record], seconds: float) -> Iterator[tuple[str, ...]]:
    """The table's rows for one data set."""
    quality = records[0].quality
    shown = [row for row in frontier_rows(records, frontier(records)) if row.shown]
    yield f"{data} ({seconds:.0f} s)", "most frequent label", shown[0].show("majority"), "", "", ""
    for row in shown:
        value = row.show(quality) + half_width(row.intervals[quality], row.reading.unit)
        p50 = show("latency_p50_ms", row.metrics["latency_p50_ms"]).removesuffix(" ms")
        speedup, size = show("speedup", row.metrics["speedup"]), show("size_bytes", row.metrics["size_bytes"])
        yield "", row.marked_name, value, p50, speedup, size


if __name__ == "__main__":
    sys.exit(main())
