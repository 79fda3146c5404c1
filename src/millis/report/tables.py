"""What the report says, as plain rows: everything is computed here, and drawn by `text`, `figures` and `html`."""

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from math import isnan
from typing import Any

import numpy as np

from millis.budget import Choice, describe_drop
from millis.frontier import Frontier, teacher_of
from millis.metrics import blind
from millis.metrics.rounds import requests_for
from millis.record import Judged, Record
from millis.units import PERCENT, change, label, show

COMPARED = ("latency_p50_ms", "latency_p90_ms", "latency_p99_ms", "cold_start_ms", "size_bytes", "peak_memory_bytes")
DECISIVE = ("machine", "python", "packages", "threads", "git_commit")  # parts of an environment that move results
UNBEATEN, RISING = "†", "↑"  # beside names; see `legend`
RISE = "validation_rise_points"  # a metric of the records whose training stopped too early
BETTER_TEACHER = (
    "Choose one that was pre-trained on texts of this language (model=hub model.name=...; model=scratch was not), or "
    "try teacher=searched."
)
TAIL = 0.99  # the largest quantile that tables show
PERCENTILES = (1, 25, 50, 75, 99)
NOT_RECIPE = (
    "paths",
    "hydra",
    "logger",
    "study",
    "budget",
    "benchmark",
    "group",
    "name",
)  # groups of a config that say where things go, not what they are


@dataclass(frozen=True)
class Row:
    """One record as tables and charts show it.

    Args:
        id: The record's id.
        mark: What stands for it in charts: T teacher, B baseline, then 1, 2, ... by latency; empty where dominated.
        name: The record's name.
        kind: `teacher`, `baseline`, `linear` or `student`.
        standing: `member` of the frontier, `tied` with one, or `dominated`.
        quality: Name of the quality metric.
        reading: How it reads: its unit, and which values of it are better.
        metrics: The record's metrics, `quality_drop`, by how much it is worse than the teacher, and `majority`, the
            quality of always answering the most frequent answer.
        intervals: 95 % intervals under the same names.
        probability: Of being on the frontier, 0..1.
        ties: Names of the frontier members it is tied with.
        recipe: (config key, value) for the keys that tell the records of this study apart.
        artifact: Folder of the deployable artifact.
        unbeaten: The baseline that it does not beat; empty where it beats all.
    """

    id: str
    mark: str
    name: str
    kind: str
    standing: str
    quality: str
    reading: Judged
    metrics: dict[str, float]
    intervals: dict[str, tuple[float, float]]
    probability: float
    ties: tuple[str, ...]
    recipe: tuple[tuple[str, str], ...]
    artifact: str
    unbeaten: str = ""

    @property
    def marked_name(self) -> str:
        """The name, with the marks that `legend` explains."""
        marks = [UNBEATEN if self.unbeaten else "", RISING if RISE in self.metrics else ""]
        return " ".join([self.name, *filter(None, marks)])

    @property
    def shown(self) -> bool:
        """Whether tables list it: the teacher, the baseline, frontier members and their ties."""
        return self.kind != "student" or self.standing != "dominated"

    def show(self, name: str) -> str:
        """A metric with its unit."""
        return show(name, self.metrics[name], self.reading.unit)


@dataclass(frozen=True)
class Comparison:
    """One metric of several records, and how the last differs from the first."""

    metric: str
    values: tuple[str, ...]
    change: str


@dataclass(frozen=True)
class Price:
    """What the step from a frontier member to the next slower one costs and brings.

    Args:
        points: By how much quality is better: points of a percentage, else the metric's own unit.
        unit: Of the quality.
    """

    faster: str
    slower: str
    milliseconds: float
    points: float
    unit: str

    @property
    def points_per_ms(self) -> float:
        """Quality gained for each millisecond spent."""
        return self.points / self.milliseconds


def frontier_rows(records: Sequence[Record], frontier: Frontier) -> list[Row]:
    """Every record as a row: the teacher, baselines, frontier members and ties by latency, then the dominated.

    Raises:
        MillisError: not exactly one teacher, or `frontier` was computed from other records.
    """
    teacher = teacher_of(records)
    names = {record.id: record.name for record in records}
    recipes = _recipes(records)
    rows: list[Row] = []
    for record in sorted(records, key=lambda record: _order(record, frontier)):
        standing = frontier.of(record)
        where = "member" if standing.on_frontier else "tied" if standing.tied_with else "dominated"
        drop = record.reading.loss(record.metrics[record.quality], teacher.metrics[record.quality])
        rows.append(
            Row(
                id=record.id,
                mark=_mark(record, where, rows),
                name=record.name,
                kind=record.kind,
                standing=where,
                quality=record.quality,
                reading=record.reading,
                metrics={**record.metrics, "quality_drop": drop, "majority": frontier.majority},
                intervals=record.intervals,
                probability=standing.probability,
                ties=tuple(names[id] for id in standing.tied_with),
                recipe=recipes[record.id],
                artifact=record.artifact,
                unbeaten=standing.unbeaten,
            )
        )
    return rows


def legend(rows: Sequence[Row]) -> list[str]:
    """What the marks beside names say, of those that are there, and what the most frequent answer alone would do."""
    shown = [row for row in rows if row.shown]
    lines = [
        f"{UNBEATEN} does not beat {baseline} beyond the interval of the difference: not recommended."
        for baseline in dict.fromkeys(row.unbeaten for row in shown if row.unbeaten)
    ]
    if any(row.kind == "teacher" and row.unbeaten for row in shown):
        lines.append(f"The teacher itself is marked {UNBEATEN}, and students learn from it. {BETTER_TEACHER}")
    if any(RISE in row.metrics for row in shown):
        lines.append(f"{RISING} validation still rose when training ended: not finished.")
    if not isnan(rows[0].metrics["majority"]):
        lines.append(f"{blind(rows[0].quality).capitalize()}: {rows[0].show('majority')}.")
    return lines


def best_trade(rows: Sequence[Row]) -> Row | None:
    """The trade a headline names: the fastest model near the teacher.

    The one of the best quality where none is near; None where only the teacher was measured.
    """
    others = [row for row in rows if row.kind != "teacher"]
    others = [row for row in others if not row.unbeaten] or others
    near = [row for row in others if _is_near(row, rows[0])]
    if near:
        return min(near, key=lambda row: row.metrics["latency_p50_ms"])
    return min(others, key=lambda row: row.metrics["quality_drop"], default=None)


def headline(rows: Sequence[Row], choice: Choice | None = None) -> str:
    """One sentence: what the budget picks, or without a budget the best trade near the teacher."""
    if choice is not None:
        return choice.sentence()
    teacher, best = rows[0], best_trade(rows)
    if best is None:
        return f"Only the teacher has been measured: {_numbers(teacher)}."
    one, a = ("one point", "a point") if best.reading.unit == PERCENT else ("1 %", "1 %")
    which = (
        f"the fastest within {one} of the teacher"
        if _is_near(best, teacher)
        else f"the nearest to the teacher; none is within {a}"
    )
    drop = describe_drop(best.metrics["quality_drop"], best.reading)
    speed = f"{best.show('speedup')} the speed of the teacher, " if "speedup" in best.metrics else ""
    return (
        f"{best.name} answers in {best.show('latency_p50_ms')} instead of {teacher.show('latency_p50_ms')} "
        f"at the median, {speed}"
        f"with {label(best.quality)} {best.show(best.quality)} ({drop}): {which}."
    )


def comparison(records: Sequence[Record]) -> list[Comparison]:
    """Metrics of `records` side by side (before first, after last), with the change from the first to the last."""
    quality, unit = records[0].quality, records[0].reading.unit
    rows = []
    for name in (quality, *COMPARED):
        values = [record.metrics.get(name) for record in records]
        if values[0] is None or values[-1] is None:
            continue
        texts = tuple("–" if value is None else show(name, value, unit) for value in values)
        first, last = values[0], values[-1]
        moved = change(last - first, unit).replace("-", "−") if name == quality else _ratio(first, last)
        rows.append(Comparison(label(name), texts, moved))
    return rows


def stage_rows(records: Sequence[Record]) -> list[tuple[str, dict[str, float]]]:
    """(name, stage → median milliseconds) of every record that has stages: where the time goes."""
    return [(record.name, record.stages_ms) for record in records if record.stages_ms]


def latency_rows(records: Sequence[Record]) -> list[tuple[str, dict[int, float]]]:
    """(name, percentile → milliseconds) of the pooled raw samples, for the percentiles of `PERCENTILES`."""
    pooled = [
        (record.name, np.concatenate([np.asarray(samples) for samples in record.latency_ms])) for record in records
    ]
    return [
        (name, dict(zip(PERCENTILES, np.percentile(samples, PERCENTILES).tolist(), strict=True)))
        for name, samples in pooled
    ]


def price_rows(rows: Sequence[Row], latency: str = "latency_p50_ms") -> list[Price]:
    """What each millisecond costs: the steps between neighbouring frontier members, fastest first.

    Neighbours at the same latency make no step. The slope is that of the line between two members, which a service
    that sends each request to either model at random really reaches, in mean latency.
    """
    members = sorted((row for row in rows if row.standing == "member"), key=lambda row: row.metrics[latency])
    return [
        Price(a.name, b.name, milliseconds, a.metrics["quality_drop"] - b.metrics["quality_drop"], a.reading.unit)
        for a, b in pairwise(members)
        if (milliseconds := b.metrics[latency] - a.metrics[latency]) > 0
    ]


def environment_rows(records: Sequence[Record]) -> list[tuple[str, str]]:
    """(dotted key, value) of the environments; where records differ, the values with how many have each."""
    flat = [dict(flatten(record.environment)) for record in records]
    rows = []
    for key in dict.fromkeys(key for environment in flat for key in environment):
        values = [environment.get(key, "not recorded") for environment in flat]
        counts = {value: values.count(value) for value in dict.fromkeys(values)}
        texts = [value if len(counts) == 1 else f"{value} (in {count})" for value, count in counts.items()]
        text = "; ".join(texts[:3]) + (f"; and {len(texts) - 3} more" if len(texts) > 3 else "")
        rows.append((key, text))
    return rows


def caveats(records: Sequence[Record]) -> list[str]:
    """Warnings where machines, software or runs differ, then the records' notes, each once with who it is of."""
    texts = []
    places = {json.dumps([record.environment.get(key) for key in DECISIVE], sort_keys=True) for record in records}
    if len(places) > 1:
        texts.append(
            "The records were made on different machines or software: see below what differs before comparing."
        )
    runs = {json.dumps(record.reference_latency_ms) for record in records}
    if len(runs) > 1:
        texts.append(
            f"Latencies come from {len(runs)} separate runs. Only within a run did models take turns with each other; "
            "across runs compare speed-ups, not milliseconds."
        )
    few = [one for one in records if 0 < sum(map(len, one.latency_ms)) < requests_for(TAIL)]
    if few:
        texts.append(
            f"Of {len(few)} of {len(records)} models the p99 rests on fewer than the {requests_for(TAIL):,} requests "
            "that its interval takes: a first look. A budget or an objective on it, or benchmark.quantile=0.99, times "
            "as many."
        )
    notes: dict[str, list[str]] = {}
    for record in records:
        for note in dict.fromkeys(record.notes):
            notes.setdefault(note, []).append(record.name)
    return texts + [f"{note} ({_names(names)})" for note, names in notes.items()]


def flatten(config: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, str]]:
    """(dotted key, JSON value) of every leaf; lists and empty mappings are leaves."""
    for key, value in config.items():
        if isinstance(value, Mapping) and value:
            yield from flatten(value, f"{prefix}{key}.")
        else:
            yield f"{prefix}{key}", value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


def _names(names: Sequence[str]) -> str:
    return ", ".join(names[:4]) + (f" and {len(names) - 4} more" if len(names) > 4 else "")


def _recipes(records: Sequence[Record]) -> dict[str, tuple[tuple[str, str], ...]]:
    """Record id → the config keys that vary within the study; all of them where nothing varies."""
    flat = {
        record.id: dict(flatten({group: part for group, part in record.config.items() if group not in NOT_RECIPE}))
        for record in records
    }
    keys = dict.fromkeys(key for config in flat.values() for key in config)
    varying = [key for key in keys if len({config.get(key) for config in flat.values()}) > 1] or list(keys)
    return {id: tuple((key, config[key]) for key in varying if key in config) for id, config in flat.items()}


def _order(record: Record, frontier: Frontier) -> tuple[int, float]:
    if record.kind == "student":
        standing = frontier.of(record)
        return 2 if standing.on_frontier or standing.tied_with else 3, record.metrics[frontier.latency]
    return ("teacher", "baseline", "linear").index(record.kind), record.metrics[frontier.latency]


def _mark(record: Record, standing: str, before: Sequence[Row]) -> str:
    if record.kind != "student":
        letter = record.kind[0].upper()
        same = sum(row.kind == record.kind for row in before)
        return f"{letter}{same + 1}" if same else letter
    return "" if standing == "dominated" else str(1 + sum(row.kind == "student" for row in before))


def _is_near(row: Row, teacher: Row) -> bool:
    """Whether it loses a point at most; in units of which nothing is known, a hundredth of the teacher's quality."""
    most = 1.0 if row.reading.unit == PERCENT else abs(teacher.metrics[row.quality]) / 100
    return row.metrics["quality_drop"] <= most


def _ratio(before: float, after: float) -> str:
    if not before > 0 or not after > 0:
        return "–"
    if f"{max(before / after, after / before):.1f}" == "1.0":
        return "the same"
    return f"{before / after:.1f}× less" if after <= before else f"{after / before:.1f}× more"


def _numbers(row: Row) -> str:
    names = (row.quality, "latency_p50_ms", "latency_p99_ms", "size_bytes")
    return ", ".join(f"{label(name)} {row.show(name)}" for name in names if name in row.metrics)
