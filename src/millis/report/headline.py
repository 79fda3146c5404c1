"""The one sentence of a frontier: how fast its members get close to their teacher, beside what needs no training."""

from collections.abc import Sequence

from millis.budget import describe_drop
from millis.frontier import Frontier, teacher_of
from millis.record import Record
from millis.units import PERCENT, label, show, show_limit

WITHIN = 1.0  # points below the teacher: close


def headline(records: Sequence[Record], found: Frontier) -> str | None:
    """The fastest student on the frontier within `WITHIN` points of the teacher, or the one that comes nearest to it.

    Which it is, the validation split says, so that the figure on the test split is not that of the luckiest. None where
    quality has no points, or where no student on the frontier beats the baselines.
    """
    teacher, unbeaten = teacher_of(records), found.unbeaten
    steering = f"validation_{teacher.quality}"
    students = [
        one for one in records if one.kind == "student" and found.of(one).on_frontier and one.id not in unbeaten
    ]
    judged = all(steering in one.metrics for one in [teacher, *students])
    if not (students and judged and teacher.reading.unit == PERCENT):
        return None
    drops = {one.id: teacher.reading.loss(one.metrics[steering], teacher.metrics[steering]) for one in students}
    close = [one for one in students if drops[one.id] <= WITHIN]
    if close:
        best = min(close, key=lambda one: one.metrics[found.latency])
        start = f"The fastest within {show_limit('quality_drop', WITHIN)} of the teacher on validation is {best.name}"
    else:
        best = min(students, key=lambda one: drops[one.id])
        start = (
            f"No student is within {show_limit('quality_drop', WITHIN)} of the teacher on validation; the nearest is"
        )
        start = f"{start} {best.name}, {describe_drop(drops[best.id], teacher.reading)}"
    return f"{start}: {_numbers(best, teacher, records, found.latency)}."


def _numbers(best: Record, teacher: Record, records: Sequence[Record], latency: str) -> str:
    quality, drop = teacher.quality, best.reading.loss(best.metrics[teacher.quality], teacher.metrics[teacher.quality])
    beside = [
        f"{show('speedup', other.metrics[latency] / best.metrics[latency])} the speed of {other.name}"
        for other in records
        if other.kind in ("teacher", "baseline")
    ]
    return ", ".join([
        f"test {label(quality)} {show(quality, best.metrics[quality])} ({describe_drop(drop, best.reading)})",
        f"{label(latency)} {show(latency, best.metrics[latency])}", *beside,
    ])  # fmt: skip
