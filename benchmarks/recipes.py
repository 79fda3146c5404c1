"""What scripts that run recipes share: their arguments, a recipe as a user runs it, and the cells of a model's row."""

import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path

from millis.record import Record, read_records
from millis.report.tables import Row
from millis.units import half_width, percent, show

COLUMNS = ("p50 ms", "speed-up", "size", "P")  # after those of the metrics


def divided(arguments: Sequence[str], own: Mapping[str, str]) -> tuple[dict[str, str], list[str]]:
    """A script's own settings, `own` being the defaults, and the overrides among its arguments."""
    found, overrides = dict(own), []
    for argument in arguments:
        key, _, value = argument.partition("=")
        if key in own:
            found[key] = value
        else:
            overrides.append(argument)
    return found, overrides


def compressed(overrides: Sequence[str]) -> list[Record]:
    """The records of one recipe, in a process of its own, as a user runs it."""
    run = subprocess.run(["millis", "compress", *overrides], stdout=subprocess.PIPE, text=True, check=True)
    place = next(line.split(maxsplit=1)[1] for line in run.stdout.splitlines() if line.startswith("records:"))
    return read_records(Path(place))


def qualities(
    metrics: Sequence[str], values: Mapping[str, float], intervals: Mapping[str, tuple[float, float]]
) -> list[str]:
    """Each metric with half of its interval."""
    return [show(metric, values[metric], "%") + half_width(intervals[metric], "%") for metric in metrics]


def cells(row: Row, metrics: Sequence[str]) -> list[str]:
    """A model's name, qualities, and what `COLUMNS` name."""
    p50 = show("latency_p50_ms", row.metrics["latency_p50_ms"]).removesuffix(" ms")
    speedup, size = show("speedup", row.metrics["speedup"]), show("size_bytes", row.metrics["size_bytes"])
    shown = qualities(metrics, row.metrics, row.intervals)
    return [row.marked_name, *shown, p50, speedup, size, percent(row.probability)]
