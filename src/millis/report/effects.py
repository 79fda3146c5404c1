"""What each of several choices does, and whether they get in each other's way: a factorial, read off records.

Of factors with two levels each, off and on, and one record for every combination and seed:

    main effect of A    mean where A is on - mean where it is off
    interaction of A, B half of (the effect of A where B is on - the effect of A where B is off)

so an interaction is 0 where two effects add up (Box, Hunter and Hunter 2005, "Statistics for Experimenters", chapter
5). Quality is in points of the records' metric; time in log latency, where effects that multiply add up. Intervals are
95 % by bootstrap, paired: seeds are drawn, then test texts, the same for every combination, and for time what the
benchmark's processes and rounds differ by (`millis.metrics.rounds`).
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import combinations, product
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray
from rich import box
from rich.console import Console
from rich.table import Table

from millis.errors import MillisError, nearest
from millis.metrics import metric_of
from millis.metrics.bootstrap import drawn
from millis.metrics.contract import AnyMetric, items, plain, weighted
from millis.metrics.rounds import ratio_draws
from millis.record import Record
from millis.report.tables import NOT_RECIPE, flatten
from millis.store import fingerprint
from millis.units import points

RESAMPLES = 2000
LEVELS = 2
ABSENT = object()
DIFFERENCES = 3  # leaves of a level that stand for it

Combination: TypeAlias = tuple[bool, ...]
"""Which factors are on, in their order."""


@dataclass(frozen=True)
class Factor:
    """What is off or on.

    Args:
        key: A group or key of the config, such as `pruning` or `distillation.alpha`.
        off, on: Its two levels, in words.
    """

    key: str
    off: str
    on: str


@dataclass(frozen=True)
class Cell:
    """One combination, over all seeds.

    Args:
        on: Keys of the factors that are on.
        quality: Mean.
        speedup: Geometric mean.
        size_bytes: Mean.
    """

    on: tuple[str, ...]
    quality: float
    speedup: float
    size_bytes: float


@dataclass(frozen=True)
class Estimate:
    """A number and its 95 % interval."""

    mean: float
    low: float
    high: float


@dataclass(frozen=True)
class Factorial:
    """All of it.

    Args:
        quality: Name of the metric.
        unit: Of its differences: "points" of percentages, else its own.
        points, log_latency: Factor, or `a x b` → its effect. A negative log latency is faster.
    """

    quality: str
    unit: str
    factors: tuple[Factor, ...]
    seeds: tuple[int, ...]
    cells: tuple[Cell, ...]
    points: dict[str, Estimate]
    log_latency: dict[str, Estimate]


def factorial(records: Sequence[Record], keys: Sequence[str]) -> Factorial:
    """The effects of `keys` and of each two of them.

    Args:
        records: Of any runs, oldest first; those of `millis benchmark`, which are over another reference, are left out.
            Of the sets that differ in nothing but `keys` and seeds and have every combination for some seed, the one
            with the newest record counts.
        keys: Groups or keys of the config.

    Raises:
        MillisError: no record has a key, a factor has not two levels, or no seed has every combination.
    """
    if len(set(keys)) < len(keys) or not keys:
        raise MillisError(f"effects={list(keys)}: expected one or several keys of the config, each once")
    students = [one for one in records if one.kind == "student" and "benchmark" not in one.environment]
    for key in keys:
        if all(_value(record.config, key) is ABSENT for record in students):
            known = {name for record in students for name in record.config}
            raise MillisError(f"effects: no record's config has {key!r}{nearest(key, known)}")
    designs = _designs(students, keys)
    if not designs:
        raise MillisError(f"effects: no record's config has all of {', '.join(keys)}: they are not of one run")
    design = _chosen(designs)
    design.check(keys)
    runs = [[design.table[seed, cell] for cell in design.cells] for seed in design.seeds]
    cells, levels, seeds = design.cells, design.levels, design.seeds
    metric = metric_of([record for row in runs for record in row])
    whole, resampled = _qualities(runs, metric)
    return Factorial(
        quality=runs[0][0].quality,
        unit=points(metric.unit),
        factors=tuple(
            Factor(key, _words(off, on), _words(on, off)) for key, (off, on) in zip(keys, levels, strict=True)
        ),
        seeds=tuple(seeds),
        cells=tuple(_cell(keys, cell, [row[i] for row in runs], whole[i]) for i, cell in enumerate(cells)),
        points=_estimates(keys, cells, whole, resampled),
        log_latency=_estimates(keys, cells, *_times(runs)),
    )


def contrasts(names: Sequence[str], cells: Sequence[Combination]) -> dict[str, NDArray[np.float64]]:
    """Main effects and two-factor interactions as weights over `cells`, [cells] each."""
    signs = np.array([[1.0 if on else -1.0 for on in cell] for cell in cells])
    found = {name: signs[:, index] for index, name in enumerate(names)}
    for (i, first), (j, second) in combinations(enumerate(names), 2):
        found[f"{first} x {second}"] = signs[:, i] * signs[:, j]
    return {name: contrast / (len(cells) / 2) for name, contrast in found.items()}


def print_effects(found: Factorial, console: Console) -> None:
    """Print every combination, then the effects."""
    for factor in found.factors:
        console.print(f"{factor.key}: {factor.off} (off), {factor.on} (on)", soft_wrap=True)
    table = Table("on", box=box.SIMPLE_HEAD, pad_edge=False)
    for column in (found.quality.replace("_", " "), "speed-up", "MB"):
        table.add_column(column, justify="right")
    for cell in found.cells:
        numbers = (f"{cell.quality:.2f}", f"{cell.speedup:.2f}×", f"{cell.size_bytes / 1e6:.1f}")
        table.add_row(", ".join(cell.on) or "none", *numbers)
    console.print(table)
    table = Table("effect", box=box.SIMPLE_HEAD, pad_edge=False)
    for column in (found.unit, "95 %", "log latency", "95 %", "times as fast"):
        table.add_column(column, justify="right")
    for name, quality in found.points.items():
        time = found.log_latency[name]
        table.add_row(
            name,
            f"{quality.mean:+.2f}",
            f"{quality.low:+.2f} to {quality.high:+.2f}",
            f"{time.mean:+.3f}",
            f"{time.low:+.3f} to {time.high:+.3f}",
            f"{np.exp(-time.mean):.2f}",
        )
    console.print(table)
    seeds = f"{len(found.seeds)} seed{'s' * (len(found.seeds) != 1)}"
    console.print(
        f"{seeds}; 95 % bootstrap intervals over seeds, texts, processes and rounds. An interaction (a x b) of 0: the "
        "two add up.",
        style="dim",
        soft_wrap=True,
    )


@dataclass(frozen=True)
class _Design:
    """Records that differ in nothing but factors and seeds.

    Args:
        records: (seed, levels as JSON) → record.
    """

    records: dict[tuple[int, tuple[str, ...]], Record]

    @cached_property
    def levels(self) -> list[list[str]]:
        """Of each factor, off before on."""
        return [sorted(set(found), key=_order) for found in zip(*(cell for _, cell in self.records), strict=True)]

    @cached_property
    def cells(self) -> list[Combination]:
        return list(product((False, True), repeat=len(self.levels)))

    @cached_property
    def table(self) -> dict[tuple[int, Combination], Record]:
        return {
            (seed, tuple(level == found[-1] for level, found in zip(cell, self.levels, strict=True))): record
            for (seed, cell), record in self.records.items()
        }

    @cached_property
    def seeds(self) -> list[int]:
        """Those that have every combination; none where a factor has not two levels."""
        if any(len(found) != LEVELS for found in self.levels):
            return []
        seeds = sorted({seed for seed, _ in self.table})
        return [seed for seed in seeds if all((seed, cell) in self.table for cell in self.cells)]

    def of_two(self) -> "list[_Design]":
        """Those of its parts that have two levels of each factor, and every combination of them for some seed."""
        found = []
        least = LEVELS ** (len(self.levels) - 1)  # times that a level is crossed with; what a search drew, is not
        crossed = [
            [level for level in names if sum(cell[i] == level for _, cell in self.records) >= least]
            for i, names in enumerate(self.levels)
        ]
        for levels in product(*(combinations(names, LEVELS) for names in crossed)):
            part = {
                (seed, cell): record
                for (seed, cell), record in self.records.items()
                if all(level in pair for level, pair in zip(cell, levels, strict=True))
            }
            if part and _Design(part).seeds:
                found.append(_Design(part))
        return found

    def check(self, keys: Sequence[str]) -> None:
        """Refuse a design without a seed that has every combination."""
        for key, found in zip(keys, self.levels, strict=True):
            if len(found) == 1:
                raise MillisError(
                    f"effects: {key} has one level among records that differ in nothing else. Run it at two with all "
                    f"else the same: millis compress -m {key}=...,... (student and model set other keys: no factors)"
                )
            if len(found) > LEVELS:
                raise MillisError(
                    f"effects: {key} has {len(found)} levels in the records ({', '.join(found)[:80]}), and not just "
                    f"{LEVELS} of them are crossed with the rest. Name the records that are meant: records=FOLDER"
                )
        if self.seeds:
            return
        best = max({seed for seed, _ in self.table}, key=lambda seed: sum((seed, c) in self.table for c in self.cells))
        lacking = [cell for cell in self.cells if (best, cell) not in self.table]
        on = ", ".join(key for key, present in zip(keys, lacking[0], strict=True) if present) or "none"
        raise MillisError(
            f"effects: no seed has all {len(self.cells)} combinations of {', '.join(keys)}; seed {best} lacks "
            f"{len(lacking)}, such as that with {on} on. Run the missing ones"
        )


def _chosen(designs: Sequence[_Design]) -> _Design:
    """The newest that is whole, or has one part that is; else the largest, for its `check` to say what is wrong."""
    for design in reversed(designs):
        if parts := design.of_two():
            return parts[0] if len(parts) == 1 else design
    return max(designs, key=lambda design: len(design.records))


def _designs(students: Sequence[Record], keys: Sequence[str]) -> list[_Design]:
    """The newest last."""
    found: dict[str, dict[tuple[int, tuple[str, ...]], Record]] = {}
    for record in students:
        values = [_value(record.config, key) for key in keys]
        if ABSENT in values:
            continue
        same = fingerprint(_rest(record.config, keys))
        records = found.pop(same, {})
        records[record.seed, tuple(map(_level, values))] = record
        found[same] = records  # the last one now
    return [_Design(records) for records in found.values()]


def _level(value: Any) -> str:
    """A level as JSON; 0 and 0.0 are one."""
    whole = isinstance(value, float) and value.is_integer()
    return json.dumps(int(value) if whole else value, sort_keys=True)


def _value(config: Mapping[str, Any], key: str) -> Any:
    """What lies under a dotted key, `ABSENT` where nothing does."""
    node: Any = config
    for part in key.split("."):
        node = node.get(part, ABSENT) if isinstance(node, Mapping) else ABSENT
    return node


def _rest(config: Mapping[str, Any], keys: Sequence[str]) -> dict[str, str]:
    """What two records of one factorial have in common."""
    flat = flatten({group: part for group, part in config.items() if group not in (*NOT_RECIPE, "seed")})
    left_out = ("teacher.seed", *keys)
    return {
        name: value for name, value in flat if not any(name == key or name.startswith(f"{key}.") for key in left_out)
    }


def _order(level: str) -> tuple[int, float, str]:
    """Off before on: what is called none, then numbers by size, then whatever else by its text."""
    value = json.loads(level)
    if isinstance(value, Mapping):
        leaves = dict(flatten(value))
        numbers = [float(text) for text in leaves.values() if text.replace(".", "", 1).isdigit()]
        return (0 if _is_none(value) else 1), sum(numbers), level
    number = float(value) if isinstance(value, int | float) else 0.0
    return 1, number, level


def _is_none(value: Any) -> bool:
    return isinstance(value, Mapping) and str(value.get("_target_", "")).endswith(".none")


def _words(level: str, other: str) -> str:
    """A level by what tells it from the other."""
    ours, theirs = json.loads(level), json.loads(other)
    if not (isinstance(ours, Mapping) and isinstance(theirs, Mapping)):
        return str(ours)
    ours, theirs = dict(flatten(ours)), dict(flatten(theirs))
    if ours.get("_target_") != theirs.get("_target_"):
        return str(ours.get("_target_", "?")).rpartition(".")[2]
    differing = [name for name in dict.fromkeys([*ours, *theirs]) if ours.get(name) != theirs.get(name)]
    return ", ".join(f"{name}={ours.get(name, '-')}" for name in differing[:DIFFERENCES])


def _cell(keys: Sequence[str], cell: Combination, records: Sequence[Record], quality: float) -> Cell:
    return Cell(
        on=tuple(key for key, on in zip(keys, cell, strict=True) if on),
        quality=float(quality),
        speedup=float(np.exp(np.mean([np.log(record.metrics["speedup"]) for record in records]))),
        size_bytes=float(np.mean([record.metrics["size_bytes"] for record in records])),
    )


Means: TypeAlias = tuple[NDArray[np.float64], NDArray[np.float64]]
"""[cells] as measured, [draws, cells] as drawn."""


def _qualities(runs: Sequence[Sequence[Record]], metric: AnyMetric) -> Means:
    """Quality of each combination, mean over seeds."""
    if any(record.references != runs[0][0].references for row in runs for record in row):
        raise MillisError(
            "effects: the records are of different test texts. Name those of one data set: records=FOLDER"
        )
    references = items(runs[0][0].references)
    predictions = [[items(record.predictions) for record in row] for row in runs]  # [seeds, cells, texts]
    seeds, texts = len(runs), len(references)
    chance, rows = np.random.default_rng(0), list[NDArray[np.int64]]()

    def draw() -> NDArray[np.int64]:
        rows.append(chance.integers(seeds, size=(seeds,)))
        return chance.integers(texts, size=(texts,))

    blocks = [
        [[weighted(metric, one, references, counts) for one in row] for row in predictions]
        for counts in drawn(draw, texts, RESAMPLES)
    ]
    values = np.concatenate(blocks, axis=-1)  # [seeds, cells, draws]
    means = np.mean([values[picked, :, i] for i, picked in enumerate(rows)], axis=1)
    whole = np.mean([[plain(metric, one, references) for one in row] for row in predictions], axis=0)
    return whole, means


def _times(runs: Sequence[Sequence[Record]]) -> Means:
    """Log of each combination's latency over the reference's, mean over seeds: -log of the speed-up."""
    chance = np.random.default_rng(0)
    draws = np.array(
        [[np.log(ratio_draws(_ratios(one), one.processes, RESAMPLES, chance)) for one in row] for row in runs]
    )  # [seeds, cells, draws]
    seeds = chance.integers(len(runs), size=(RESAMPLES, len(runs)))
    drawn = np.mean([draws[seeds[:, i], :, np.arange(RESAMPLES)] for i in range(len(runs))], axis=0)
    return -np.mean([[np.log(record.metrics["speedup"]) for record in row] for row in runs], axis=0), drawn


def _ratios(record: Record) -> NDArray[np.float64]:
    """Latency / reference, a round."""
    pairs = zip(record.latency_ms, record.reference_latency_ms, strict=True)
    return np.array([np.median(ours) / np.median(theirs) for ours, theirs in pairs])


def _estimates(
    names: Sequence[str], cells: Sequence[Combination], whole: NDArray[np.float64], drawn: NDArray[np.float64]
) -> dict[str, Estimate]:
    found = {}
    for name, weights in contrasts(names, cells).items():
        low, high = np.quantile(drawn @ weights, [0.025, 0.975])
        found[name] = Estimate(float(whole @ weights), float(low), float(high))
    return found
