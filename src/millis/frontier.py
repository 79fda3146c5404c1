"""The frontier as a result: which records are on it, how surely, and which one a budget picks. Plain data.

`millis.sweep.frontier` computes it and `millis.report` draws it; they meet here and do not import each other.
Everything is JSON-able with `dataclasses.asdict`.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from math import isfinite

from millis.errors import MillisError, nearest
from millis.record import Record
from millis.units import label, show, show_limit

DIRECTIONS = ("maximize", "minimize")


@dataclass(frozen=True)
class Standing:
    """Where one record stands.

    Args:
        id: The record's id.
        name: The record's name.
        on_frontier: No other record is at least as good in every objective and better in one (point estimates).
        probability: Share of the joint bootstrap resamples in which it is on the frontier, 0..1.
        tied_with: Ids of the frontier members that no measured difference tells it apart from.
    """

    id: str
    name: str
    on_frontier: bool
    probability: float
    tied_with: tuple[str, ...] = ()


@dataclass(frozen=True)
class Frontier:
    """The standing of every record.

    Args:
        objectives: Metric name → `maximize` or `minimize`.
        standings: One a record, in the order the records came.
        resamples: Bootstrap resamples behind the probabilities and the ties.
    """

    objectives: dict[str, str]
    standings: tuple[Standing, ...]
    resamples: int

    @property
    def members(self) -> tuple[Standing, ...]:
        """The records on the frontier."""
        return tuple(standing for standing in self.standings if standing.on_frontier)

    @property
    def latency(self) -> str:
        """The latency metric the frontier is about; `latency_p50_ms` where no objective is a latency."""
        return next((name for name in self.objectives if name.startswith("latency_")), "latency_p50_ms")

    def of(self, record: Record) -> Standing:
        """The standing of `record`.

        Raises:
            MillisError: the frontier was computed from other records.
        """
        for standing in self.standings:
            if standing.id == record.id:
                return standing
        raise MillisError(
            f"record {record.name!r} is not among the {len(self.standings)} records this frontier was computed from: "
            "compute the frontier again from the records to be shown"
        )


@dataclass(frozen=True)
class Choice:
    """The model a budget picks, or the nearest one where nothing keeps it.

    Args:
        id: The record's id.
        name: The record's name.
        quality: Name of the quality metric.
        metrics: The record's metrics and, where there is a teacher, `quality_drop` (points below it).
        intervals: 95 % intervals under the same names.
        budget: The limits that were set: name → upper limit.
        excess: Name → how far over its limit, relative to it: 0.2 is 20 % over, below zero is room left.
        artifact: Folder of the deployable artifact.
    """

    id: str
    name: str
    quality: str
    metrics: dict[str, float]
    intervals: dict[str, tuple[float, float]]
    budget: dict[str, float]
    excess: dict[str, float]
    artifact: str

    @property
    def kept(self) -> bool:
        """Whether every limit is kept."""
        return all(excess <= 0 for excess in self.excess.values())

    def sentence(self) -> str:
        """The answer for people: the model, the budget, its numbers, what is over or uncertain, and its folder."""
        limits = describe_budget(self.budget)
        if not self.kept:
            over = "; ".join(
                f"{label(name)} {show(name, self.metrics[name])} is {excess:.0%} over"
                for name, excess in self.excess.items()
                if excess > 0
            )
            return (
                f"No model keeps the budget ({limits}). The nearest is {self.name}: {over}. "
                f"It has {self._numbers()}. Artifact: {self.artifact}"
            )
        start = (
            f"{self.name} keeps the budget ({limits})" if self.budget else f"{self.name} is the best without a budget"
        )
        return f"{start}: {self._numbers()}{self._doubt()}. Artifact: {self.artifact}"

    def _numbers(self) -> str:
        drop = self.metrics.get("quality_drop")
        against = "" if drop is None else f" ({describe_drop(drop)})"
        parts = [f"{label(self.quality)} {show(self.quality, self.metrics[self.quality])}{against}"]
        parts += [
            f"{label(name)} {show(name, self.metrics[name])}"
            for name in ("latency_p50_ms", "latency_p99_ms", "speedup", "size_bytes")
            if name in self.metrics
        ]
        return ", ".join(parts)

    def _doubt(self) -> str:
        past = [
            f"{label(name)} {show(name, self.intervals[name][1])}"
            for name, limit in self.budget.items()
            if name in self.intervals and self.intervals[name][1] > limit
        ]
        return f"; but its 95 % interval reaches past the limit ({', '.join(past)})" if past else ""


def pick(records: Sequence[Record], budget: Mapping[str, float | None]) -> Choice:
    """The record of highest quality that keeps `budget`; where none does, the nearest one.

    All records are candidates, the teacher and the baseline too: a budget may limit what is no objective of the
    frontier. Of equal quality, the one with more room is taken. Nearest is the smallest largest relative excess.

    Args:
        records: One study's records.
        budget: Name → upper limit: a metric in milliseconds or bytes, or `quality_drop` (points below the teacher).
            None sets no limit. A `quality_drop` of 0 has its excess counted in points.

    Raises:
        MillisError: no records, a limit that is not known or not a positive number, no teacher to compare with.
    """
    if not records:
        raise MillisError("got no records to pick from: run `millis sweep` or `millis compress` first")
    limits = {name: float(limit) for name, limit in budget.items() if limit is not None}
    candidates = [_candidate(record, records, limits) for record in records]
    kept = [choice for choice in candidates if choice.kept]
    if kept:
        return min(kept, key=lambda choice: (-choice.metrics[choice.quality], _largest_excess(choice), choice.name))
    return min(candidates, key=lambda choice: (_largest_excess(choice), -choice.metrics[choice.quality], choice.name))


def _candidate(record: Record, records: Sequence[Record], limits: Mapping[str, float]) -> Choice:
    metrics = dict(record.metrics)
    if "quality_drop" in limits or any(other.kind == "teacher" for other in records):
        metrics["quality_drop"] = finite_metric(teacher_of(records), record.quality) - finite_metric(
            record, record.quality
        )
    for name, limit in limits.items():
        limited = [known for known in metrics if known.endswith(("_ms", "_bytes")) or known == "quality_drop"]
        if name not in limited:
            raise MillisError(
                f"budget limits {name!r}, which record {record.name!r} does not have{nearest(name, limited)}; "
                f"expected quality_drop or a metric in ms or bytes: {', '.join(sorted(limited))}"
            )
        if not (limit > 0 or (limit == 0 and name == "quality_drop")):
            raise MillisError(f"budget limit {name} is {limit:g}; expected a positive number, or null for no limit")
    excess = {name: (metrics[name] - limit) / (limit or 1.0) for name, limit in limits.items()}
    return Choice(
        record.id, record.name, record.quality, metrics, record.intervals, dict(limits), excess, record.artifact
    )


def _largest_excess(choice: Choice) -> float:
    return max(choice.excess.values(), default=0.0)


def describe_budget(budget: Mapping[str, float]) -> str:
    """The limits in one line: "p99 ≤ 2.00 ms, quality drop ≤ 1.0 points"."""
    return ", ".join(f"{label(name)} ≤ {show_limit(name, limit)}" for name, limit in budget.items())


def describe_drop(drop: float) -> str:
    """Points below the teacher in words: "0.6 below the teacher", "0.2 above ..." or "level with the teacher"."""
    if abs(drop) < 0.05:
        return "level with the teacher"
    return f"{abs(drop):.1f} {'below' if drop > 0 else 'above'} the teacher"


def teacher_of(records: Iterable[Record]) -> Record:
    """The one teacher among `records`.

    Raises:
        MillisError: there is none, or more than one.
    """
    teachers = [record for record in records if record.kind == "teacher"]
    if len(teachers) != 1:
        raise MillisError(
            f"got {len(teachers)} teacher records, expected one, which every speed-up and quality drop is against: "
            "read the records of one whole study at a time"
        )
    return teachers[0]


def finite_metric(record: Record, name: str) -> float:
    """The metric `name` of `record`.

    Raises:
        MillisError: the record does not have it, or it is not a finite number.
    """
    value = record.metrics.get(name, float("nan"))
    if not isfinite(value):
        raise MillisError(
            f"record {record.name!r} has no metric {name!r}{nearest(name, record.metrics)}; "
            f"it has: {', '.join(sorted(record.metrics))}"
        )
    return value
