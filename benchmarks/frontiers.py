"""Which search found the better frontier? All their models on one frontier, and what each covers.

    python benchmarks/frontiers.py before=outputs/sweep/ONE/records.jsonl after=outputs/sweep/OTHER/records.jsonl

Searches are compared by quality and by speed-up, which is measured beside the teacher in each: milliseconds of two runs
do not bear comparison. What a search covers is the dominated area (the hypervolume of Zitzler & Thiele 1999) of models
that lose less than `FLOOR` points and are faster than the teacher, with speed-up in doublings: points x doublings.
Prints a Markdown table of the joint frontier, and each search's area.
"""

import sys
from collections.abc import Sequence
from math import log2
from pathlib import Path

import numpy as np
from results import Table

from millis.record import read_records
from millis.sweep.frontier import non_dominated
from millis.units import show

FLOOR = 10.0  # points worse than the teacher at which a model is worth nothing here


def main() -> int:
    searches = {}
    for argument in sys.argv[1:]:
        name, equals, path = argument.partition("=")
        if not equals:
            raise SystemExit(f"expected NAME=records.jsonl for each search, got {argument!r}")
        searches[name] = read_records(Path(path))
    teachers = {name: one for name, records in searches.items() for one in records if one.kind == "teacher"}
    if not searches or set(teachers) != set(searches):
        raise SystemExit("expected NAME=records.jsonl for each search, with a teacher among its records")
    teacher = next(iter(teachers.values()))
    if any(other.predictions != teacher.predictions for other in teachers.values()):
        raise SystemExit("the searches have different teachers or test splits: their speed-ups cannot be compared")
    quality, reading = teacher.quality, teacher.reading
    students = [(name, one) for name, records in searches.items() for one in records if one.kind == "student"]
    points = [
        (one.metrics["speedup"], FLOOR - reading.loss(one.metrics[quality], teacher.metrics[quality]))
        for _, one in students
    ]
    on_it = non_dominated(-np.array(points))
    by_quality = sorted(zip(students, points, on_it, strict=True), key=lambda one: one[1][::-1])
    with Table("search", "model", quality, "speed-up", "MB") as table:
        for (name, record), (speedup, _), stays in by_quality:
            if stays:
                value = show(quality, record.metrics[quality], record.reading.unit)
                table.row(name, record.name, value, f"{speedup:.1f}×", f"{record.metrics['size_bytes'] / 1e6:.1f}")
    for name in searches:
        own = [(log2(speedup), worth) for (owner, _), (speedup, worth) in zip(students, points, strict=True)
               if owner == name]  # fmt: skip
        print(f"\n{name}: {len(own)} models, {area(own):.1f} points x doublings")
    return 0


def area(points: Sequence[tuple[float, float]]) -> float:
    """The area between (0, 0) and the steps that `points` (x, y) make: of (1, 4), (3, 2) and (2, 1) it is 8."""
    covered, height = 0.0, 0.0
    for x, y in sorted(points, reverse=True):
        if x > 0 and y > height:
            covered += x * (y - height)
            height = y
    return covered


if __name__ == "__main__":
    sys.exit(main())
