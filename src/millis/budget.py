"""Which model a budget picks: how surely limits of latency are kept, and quality that was not looked at to choose.

A limit of latency is held against a quantile of finitely many requests in a few processes, so it is kept with a
probability. Everything is JSON-able with `dataclasses.asdict`.
"""

import re
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Protocol

from millis.errors import MillisError, nearest
from millis.frontier import finite_metric, teacher_of
from millis.metrics.rounds import kept_probability
from millis.record import Judged, Record
from millis.units import PERCENT, label, percent, show, show_limit

SURELY = 0.95  # with which limits of latency are to be kept
MEDIAN = 0.5  # which few requests tell
LATENCY = re.compile(r"latency_p([1-9]\d)_ms")


class Sampled(Protocol):
    """A record or a measurement."""

    @property
    def metrics(self) -> dict[str, float]:
        """Name → value."""
        ...

    @property
    def latency_ms(self) -> list[list[float]]:
        """[R][requests], milliseconds."""
        ...

    @property
    def processes(self) -> list[int]:
        """Which process served each round, [R]."""
        ...


@dataclass(frozen=True)
class Choice:
    """The model a budget picks, or the nearest one where nothing keeps it.

    Args:
        id: The record's id.
        name: The record's name.
        quality: Name of the quality metric.
        metrics: The record's metrics and, where there is a teacher, `quality_drop` (by how much it is worse on the test
            split).
        intervals: 95 % intervals under the same names.
        budget: The limits that were set: name → upper limit.
        judged: Limit → the number it was held against; a drop of quality is that on the validation split.
        excess: Limit → how far over it, relative to it: 0.2 is 20 % over, below zero is room left.
        artifact: Folder of the deployable artifact.
        probability: That the limits of latency are kept, all together, 0..1.
        required: The least that `probability` may be.
        steering: The metric it was chosen by: `quality` on the validation split, or on the test split in records that
            have no other.
        reading: How `quality` reads.
    """

    id: str
    name: str
    quality: str
    metrics: dict[str, float]
    intervals: dict[str, tuple[float, float]]
    budget: dict[str, float]
    judged: dict[str, float]
    excess: dict[str, float]
    artifact: str
    probability: float
    required: float
    steering: str
    reading: Judged

    @property
    def kept(self) -> bool:
        """Whether every limit is kept, those of latency with the required probability."""
        return all(excess <= 0 for excess in self.excess.values()) and self.probability >= self.required

    def sentence(self) -> str:
        """The answer for people: the model, the budget and how surely it is kept, its numbers, and its folder."""
        limits = describe_budget(self.budget, self.reading.unit)
        sampled = bool(latency_limits(self.budget))
        if not self.kept:
            surely = f" with probability {percent(self.required)}" if sampled else ""
            return (
                f"No model keeps the budget ({limits}){surely}. The nearest is {self.name}: {self._lacking(sampled)}. "
                f"It has {self._numbers()}. Artifact: {self.artifact}"
            )
        surely = f" with probability {percent(self.probability)}" if sampled else ""
        start = (
            f"{self.name} keeps the budget ({limits}){surely}"
            if self.budget
            else f"{self.name} is the best without a budget"
        )
        return f"{start}: {self._numbers()}. Artifact: {self.artifact}"

    def _lacking(self, sampled: bool) -> str:
        over = [
            f"{label(name)} {show(name, self.judged[name], self.reading.unit)} is {excess:.0%} over"
            for name, excess in self.excess.items()
            if excess > 0
        ]
        return "; ".join([*over, f"kept with probability {percent(self.probability)}"] if sampled else over)

    def _numbers(self) -> str:
        drop, unit = self.metrics.get("quality_drop"), self.reading.unit
        against = "" if drop is None else f" ({describe_drop(drop, self.reading)})"
        quality = f"{label(self.quality)} {show(self.quality, self.metrics[self.quality], unit)}{against}"
        if self.steering != self.quality:
            steering = show(self.steering, self.metrics[self.steering], unit)
            quality = f"{label(self.steering)} {steering}, test {quality}"
        else:
            quality += ", chosen by it and so flattered"
        parts = [quality]
        parts += [
            f"{label(name)} {show(name, self.metrics[name])}{self._spread(name)}"
            for name in ("latency_p50_ms", "latency_p99_ms", "speedup", "size_bytes")
            if name in self.metrics
        ]
        return ", ".join(parts)

    def _spread(self, name: str) -> str:
        """The interval of a latency that is limited."""
        if name not in latency_limits(self.budget) or name not in self.intervals:
            return ""
        low, high = (show(name, end).removesuffix(" ms") for end in self.intervals[name])
        return f" ({low} to {high})"


def pick(records: Sequence[Record], budget: Mapping[str, float | None], passed_over: Collection[str] = ()) -> Choice:
    """The record of best validation quality that keeps `budget`; where none does, the nearest one.

    All records are candidates, the teacher and the baseline too: a budget may limit what is no objective of the
    frontier. The test split has no say, so that the figure on it is not that of the luckiest; only records without one
    on the validation split (those of `millis benchmark`) are chosen by it. Limits of latency have to be kept with a
    probability (`millis.metrics.rounds.kept_probability`). Of equal quality, the one with more room is taken. Nearest
    is the smallest largest relative excess, then the largest probability.

    Args:
        records: One study's records.
        budget: Name → upper limit: a metric in milliseconds or bytes, or `quality_drop` (by how much it may be worse
            than the teacher, in points of a percentage). None sets no limit. A `quality_drop` of 0 has its excess
            counted in points. And `probability`, which is `SURELY` where it is left out.
        passed_over: Ids that are not recommended, unless there is nothing else (`millis.frontier.Frontier.unbeaten`).

    Raises:
        MillisError: no records, a limit that is not known or not a positive number, no teacher to compare with.
    """
    ranked = _ranked(records, budget, passed_over)
    for choice, record in ranked:
        if max(choice.excess.values(), default=0.0) <= 0 and (sure := _sure(choice, record)).kept:
            return sure
    return min(
        (_sure(choice, record) for choice, record in ranked),
        key=lambda choice: (max(0.0, *choice.excess.values()), -choice.probability),
    )


def undecided(
    records: Sequence[Record], budget: Mapping[str, float | None], passed_over: Collection[str] = ()
) -> list[Record]:
    """Records that `pick` would take if more requests showed that they keep the limits of latency.

    They are of higher quality than what is taken, and neither keep nor break those with the required probability.
    """
    found = []
    for choice, record in _ranked(records, budget, passed_over):
        others = [excess for name, excess in choice.excess.items() if name not in latency_limits(choice.budget)]
        if max(others, default=0.0) <= 0:
            sure = _sure(choice, record)
            if sure.kept:
                break
            if sure.probability > 1 - sure.required:
                found.append(record)
    return found


def open_question(found: Sampled, budget: Mapping[str, float | None]) -> bool:
    """Whether limits of latency are neither kept nor broken with the required probability."""
    surely = required(budget)
    return 1 - surely < latency_probability(found, budget) < surely


def limits_of(budget: Mapping[str, float | None]) -> dict[str, float]:
    """What `budget` limits: all but `probability` that is not None."""
    return {name: float(limit) for name, limit in budget.items() if limit is not None and name != "probability"}


def latency_limits(budget: Mapping[str, float | None]) -> dict[str, float]:
    """The limits of `budget` on quantiles of the latency."""
    return {name: limit for name, limit in budget.items() if limit is not None and LATENCY.fullmatch(name)}


def latency_probability(record: Sampled, budget: Mapping[str, float | None]) -> float:
    """That a record or measurement keeps the limits of latency, 0..1; where it has no samples, by its metrics alone."""
    limits = latency_limits(budget)
    if not record.latency_ms:
        return float(all(record.metrics[name] <= limit for name, limit in limits.items()))
    quantiles = {quantile(name): limit for name, limit in limits.items()}
    return kept_probability(record.latency_ms, record.processes, quantiles)


def quantile(latency: str) -> float:
    """The quantile that a metric is of: `latency_p99_ms` → 0.99."""
    match = LATENCY.fullmatch(latency)
    assert match
    return int(match[1]) / 100


def judged_quantile(names: Iterable[str], given: float | None = None) -> float | None:
    """The largest quantile of latency that metrics called `names` are of, beyond the median, or that was `given`."""
    found = [quantile(name) for name in names if LATENCY.fullmatch(name)]
    asked = [] if given is None else [given]
    return max([*asked, *(one for one in found if one > MEDIAN)], default=None)


def required(budget: Mapping[str, float | None]) -> float:
    """The probability with which `budget` asks its limits to be kept.

    Raises:
        MillisError: none of 0.5 .. 1.
    """
    value = budget.get("probability")
    if value is None:
        return SURELY
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0.5 <= value < 1:
        raise MillisError(
            f"budget.probability={value}: expected 0.5 or more and less than 1, with which limits of latency are kept"
        )
    return float(value)


def _ranked(
    records: Sequence[Record], budget: Mapping[str, float | None], passed_over: Collection[str]
) -> list[tuple[Choice, Record]]:
    """The records that may be picked as choices, best first; how surely they keep their limits is not known yet."""
    if not records:
        raise MillisError("got no records to pick from: run `millis sweep` or `millis compress` first")
    steering = f"validation_{records[0].quality}"
    if any(steering not in record.metrics for record in records):
        steering = records[0].quality
    choices = [(_candidate(record, records, budget, steering), record) for record in records]
    sign = records[0].reading.sign
    return sorted(
        [one for one in choices if one[1].id not in passed_over] or choices,
        key=lambda one: (-sign * one[0].metrics[steering], max(one[0].excess.values(), default=0.0), one[0].name),
    )


def _sure(choice: Choice, record: Record) -> Choice:
    return replace(choice, probability=latency_probability(record, choice.budget))


def _candidate(record: Record, records: Sequence[Record], budget: Mapping[str, float | None], steering: str) -> Choice:
    limits = limits_of(budget)
    metrics = dict(record.metrics)
    known = dict(metrics)  # what limits are held against
    if "quality_drop" in limits or any(other.kind == "teacher" for other in records):
        teacher = teacher_of(records)
        metrics["quality_drop"], known["quality_drop"] = (
            record.reading.loss(finite_metric(record, name), finite_metric(teacher, name))
            for name in (record.quality, steering)
        )
    for name, limit in limits.items():
        limited = [one for one in known if one.endswith(("_ms", "_bytes")) or one == "quality_drop"]
        if name not in limited:
            raise MillisError(
                f"budget limits {name!r}, which record {record.name!r} does not have{nearest(name, limited)}; "
                f"expected quality_drop or a metric in ms or bytes: {', '.join(sorted(limited))}"
            )
        if not (limit > 0 or (limit == 0 and name == "quality_drop")):
            raise MillisError(f"budget limit {name} is {limit:g}; expected a positive number, or null for no limit")
    judged = {name: known[name] for name in limits}
    return Choice(
        id=record.id,
        name=record.name,
        quality=record.quality,
        metrics=metrics,
        intervals=record.intervals,
        budget=limits,
        judged=judged,
        excess={name: (judged[name] - limit) / (limit or 1.0) for name, limit in limits.items()},
        artifact=record.artifact,
        probability=0.0,
        required=required(budget),
        steering=steering,
        reading=record.reading,
    )


def describe_budget(budget: Mapping[str, float], quality: str = PERCENT) -> str:
    """The limits in one line: "p99 ≤ 2.00 ms, quality drop ≤ 1.0 points"; `quality` is the quality metric's unit."""
    return ", ".join(f"{label(name)} ≤ {show_limit(name, limit, quality)}" for name, limit in budget.items())


def describe_drop(drop: float, reading: Judged) -> str:
    """A loss against the teacher in words: "0.6 below the teacher", "0.2 above ..." or "level with the teacher"."""
    text = show("quality", abs(drop), reading.unit)
    if float(text.split()[0]) == 0:  # as it is written
        return "level with the teacher"
    return f"{text} {'below' if reading.sign * drop > 0 else 'above'} the teacher"
