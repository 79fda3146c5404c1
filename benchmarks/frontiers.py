"""Which search found the better frontier? All their models on one frontier, and what each covers.

    python benchmarks/frontiers.py before=outputs/sweep/ONE/records.jsonl after=outputs/sweep/OTHER/records.jsonl

Searches are compared by quality and speed-up, which was measured beside the teacher and so bears comparison between
runs, milliseconds do not. What a search covers is the dominated area (the hypervolume of Zitzler & Thiele 1999) above
the teacher's quality less `FLOOR` points and above the teacher's speed, with speed-up in doublings: points x doublings.
Prints a Markdown table of the joint frontier and each search's area.
"""

import sys
from collections.abc import Sequence
from math import log2
from pathlib import Path

from millis.record import Record, read_records
from millis.sweep.frontier import frontier

FLOOR = 10.0  # points below the teacher at which a model is worth nothing here


def main() -> int:
    given = dict(argument.split("=", 1) for argument in sys.argv[1:])
    searches = {name: read_records(Path(path)) for name, path in given.items()}
    if not searches or not all(searches.values()):
        raise SystemExit(f"expected NAME=records.jsonl for each search, got {' '.join(sys.argv[1:]) or 'nothing'}")
    teacher = next(record for records in searches.values() for record in records if record.kind == "teacher")
    quality = teacher.quality
    origin: dict[str, list[str]] = {}
    every: dict[str, Record] = {}
    for name, records in searches.items():
        for record in records:
            if record.kind == "student":
                origin.setdefault(record.id, []).append(name)
                every.setdefault(record.id, record)
    joint = frontier(list(every.values()), {quality: "maximize", "speedup": "maximize"})
    print(f"| model | found by | {quality} | speed-up | MB |\n|---|---|---:|---:|---:|")
    members = [every[standing.id] for standing in joint.members]
    for record in sorted(members, key=lambda one: -one.metrics["speedup"]):
        metrics = record.metrics
        print(
            f"| {record.name} | {', '.join(origin[record.id])} | {metrics[quality]:.1f} | {metrics['speedup']:.1f}× | "
            f"{metrics['size_bytes'] / 1e6:.1f} |"
        )
    floor = teacher.metrics[quality] - FLOOR
    for name, records in searches.items():
        students = [record for record in records if record.kind == "student"]
        points = [(log2(record.metrics["speedup"]), record.metrics[quality] - floor) for record in students]
        print(f"\n{name}: {len(students)} models, {area(points):.1f} points x doublings")
    return 0


def area(points: Sequence[tuple[float, float]]) -> float:
    """The area between (0, 0) and the upper right hull of steps that `points` (x, y) make.

    >>> area([(1, 4), (3, 2), (2, 1), (-1, 9)])
    8.0
    """
    covered, height = 0.0, 0.0
    for x, y in sorted(points, reverse=True):
        if x > 0 and y > height:
            covered += x * (y - height)
            height = y
    return covered


if __name__ == "__main__":
    sys.exit(main())
