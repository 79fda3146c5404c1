"""Pick: the student of elastic weights that keeps a budget, found without training.

1. A few settings are timed with fresh weights, beside each other; a table foretells all others (`elastic.latency`).
2. Of those that the table lets keep the budget, those that are no part of a larger one that does are judged on the
   validation split as they are cut out, in fp32.
3. The best few are made as any student is: rounded, timed, exported, judged on the path that they are deployed on.
4. The table is corrected by what was measured, up or down, and the next are tried: where none kept the budget, those
   that lie within it now; where one did, those that are better as they are cut out.
5. The budget picks among all that were made (`millis.budget.pick`).
"""

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, astuple, dataclass, field, replace
from itertools import product
from math import inf, isfinite
from statistics import median
from typing import Any, cast

from millis import models
from millis.backends.scratch import fp32_bytes, scratch
from millis.benchmark.where import open_bench
from millis.budget import Choice, describe_budget, latency_limits, quantile, required
from millis.budget import pick as picked_by
from millis.elastic.latency import SettingTable, describe, probes
from millis.elastic.setting import Axes, Setting
from millis.errors import MillisError, nearest
from millis.models.sizes import Size
from millis.models.transformer_spec import TransformerSpec
from millis.pipeline import keys
from millis.pipeline.compress import Compressed, Skipped, compress, teacher_record
from millis.pipeline.elastic import elastic_path, ensure_elastic
from millis.pipeline.measure import untrained, write
from millis.pipeline.plan import Plan
from millis.pipeline.run import Run
from millis.pipeline.runtime import with_runtime
from millis.pipeline.student import quality_of
from millis.record import Record
from millis.store import cached, locked, write_json
from millis.units import label, show, show_limit

SIZES = ("layers", "hidden_size", "heads", "ffn_size")  # of a student, in the order of a `Setting`
FINALISTS = 3
STEPS = 16  # of the neurons, between the sizes that were trained: the largest that fits is looked for
TRIES = 3  # rounds of finalists, each with the table corrected by the one before
PROBE_ROUNDS, PROBE_REQUESTS = 15, 10
"""Of a probe: 150 requests, and some thousand of all together, which tell a p99."""


@dataclass(frozen=True)
class Member:
    """A student that can be cut out.

    Args:
        name: Of the architecture.
        quality: On the validation split as it is cut out, in fp32.
        predicted_ms: Limit → what the table foretells of it.
        outcome: What came of it; None where others of it were better and it was not made.
    """

    name: str
    setting: Setting
    quality: float
    predicted_ms: Mapping[str, float]
    outcome: Compressed | Skipped | None = None

    @property
    def metrics(self) -> dict[str, float]:
        """What was measured."""
        return {} if self.outcome is None else self.outcome.metrics

    @property
    def record(self) -> Record | None:
        """Of the artifact, where it keeps what is known before it is judged."""
        return None if self.outcome is None else self.outcome.record

    def fits(self, surely: float) -> bool | None:
        """Whether it keeps the limits that smaller ones keep sooner, those of latency with a probability of `surely`;
        None where it was not made."""
        if (made := self.outcome) is None:
            return None
        over = [excess for name, excess in made.excess.items() if name != "quality_drop"]
        return made.probability >= surely and max(over, default=0.0) <= 0


@dataclass(frozen=True)
class Picked:
    """What the budget picks of elastic weights.

    Args:
        members: Those that were looked at, the best on validation first.
        record: Of the one that is picked, or of the nearest where none keeps the budget.
        choice: It, held against the budget.
    """

    members: list[Member]
    record: Record
    choice: Choice


@dataclass
class _Search:
    """What is known while it is looked for; `bytes` tells of sizes, where they are limited."""

    run: Run
    axes: Axes
    table: SettingTable
    bytes: SettingTable | None
    settings: list[Setting]
    limits: dict[str, float]
    members: dict[Setting, Member] = field(default_factory=dict)

    def made(self, *, fit: bool) -> list[Member]:
        """Those that were made and fit, or that were made and do not."""
        surely = required(self.run.budget)
        return [one for one in self.members.values() if one.fits(surely) is fit]


def pick(run: Run, sizes: Mapping[str, Size] | None = None, finalists: int = FINALISTS) -> Picked:
    """The best student of the run's elastic weights that keeps its budget.

    Args:
        sizes: Of `layers`, `hidden_size`, `heads` and `ffn_size`, those that are asked for; all that were trained are
            tried of the others.
        finalists: How many students are made at a time.

    Raises:
        MillisError: no limit of latency, sizes that there are not or that were not trained, a backend that cannot run
            them, or no member that keeps the budget; it says which is the fastest.
    """
    limits = latency_limits(run.budget)
    if not limits:
        raise MillisError(
            "millis pick looks for the best student within a time, and the budget has none: expected "
            "budget.latency_p50_ms=MS or budget.latency_p99_ms=MS"
        )
    if finalists < 1:
        raise MillisError(f"finalists={finalists}: expected at least 1")
    elastic, whole = run.recipe.elastic, cast(TransformerSpec, run.teacher.manifest.spec)
    assert elastic is not None, "the run is of elastic weights"
    axes = elastic.axes(whole)
    settings = _settings(run, axes, {name: size for name, size in (sizes or {}).items() if size is not None})
    run, _ = with_runtime(_at(run, axes.largest))
    table = ensure_table(run, axes, [quantile(name) for name in limits])
    sizes_known = "size_bytes" in _size_limit(run) and run.recipe.storage is None  # archives depend on weights
    search = _Search(run, axes, table, ensure_bytes(run, axes) if sizes_known else None, settings, limits)
    for _ in range(TRIES):
        if not (tried := _try(search, finalists) or _fastest(search)):
            break
        _correct(search, tried)
    _fastest(search)
    return _concluded(search)


def ensure_table(run: Run, axes: Axes, quantiles: Sequence[float]) -> SettingTable:
    """What settings cost on the recipe's backend where `run.benchmark` measures; some ten models are timed, once."""
    return _table(run, axes, "latency_ms", quantiles)


def ensure_bytes(run: Run, axes: Axes) -> SettingTable:
    """As `ensure_table`, with bytes of artifacts in place of milliseconds: a sum of the same parts."""
    return _table(run, axes, "size_bytes", [])


def _table(run: Run, axes: Axes, of: str, quantiles: Sequence[float]) -> SettingTable:
    path = run.teacher.inputs.cache / "setting_table" / f"{keys.setting_table(run, asdict(axes))}.json"
    with locked(path, "a table of latencies, which another process measures"):
        if not path.is_file():
            write_json(path, _measured(run, axes))
    with cached(path):
        known = json.loads(path.read_text())
        return SettingTable.from_probes(axes, {one: known[describe(one)][of] for one in probes(axes)}, quantiles)


def _measured(run: Run, axes: Axes) -> dict[str, dict[str, list[float]]]:
    """Of each probe, milliseconds of single requests, and its size."""
    teacher = run.teacher
    asked = run.benchmark
    brief = replace(
        asked, rounds=min(asked.rounds, PROBE_ROUNDS), requests=min(asked.requests, PROBE_REQUESTS), quantile=None,
        processes=1, warmup_seconds=min(asked.warmup_seconds, 1.0),
    )  # fmt: skip
    specs = {describe(one): _spec(run, one) for one in probes(axes)}
    largest = models.build(_spec(run, axes.largest))
    with scratch(fp32_bytes(largest)) as place:
        folders = {}
        for number, (name, spec) in enumerate(specs.items()):
            folders[name] = place / str(number)
            write(untrained(run), models.build(spec), folders[name], Plan.probe(spec, teacher.tokenizer))
        with open_bench(teacher.folder, teacher.inputs.dataset.test.texts, brief) as bench:
            found = bench.measure(folders)
    return {
        name: {
            "latency_ms": [ms for round_ms in one.latency_ms for ms in round_ms],
            "size_bytes": [one.metrics["size_bytes"]],
        }
        for name, one in found.items()
    }


def _settings(run: Run, axes: Axes, asked: Mapping[str, Size]) -> list[Setting]:
    """Every setting that is trained, with as many neurons as lie between as well; of sizes that are asked for, these.

    Raises:
        MillisError: one that there is not, or that was not trained.
    """
    for name in asked:
        if name not in SIZES:
            raise MillisError(f"a student has no size {name!r}{nearest(name, SIZES)}: expected {', '.join(SIZES)}")
    student = replace(run.recipe.student, **{**dict.fromkeys(SIZES), **asked})
    named = astuple(student.setting(run.teacher.manifest.spec))
    between = (axes.ffn[-1] * step // STEPS for step in range(STEPS))
    finer = replace(axes, ffn=tuple(sorted({*axes.ffn, *(size for size in between if size > axes.ffn[0])})))
    each = [(size,) if name in asked else sizes for name, size, sizes in zip(SIZES, named, finer.each, strict=True)]
    return [Setting(*found) for found in product(*each)]


def _at(run: Run, setting: Setting) -> Run:
    """The run of the student at a setting."""
    sizes = dict(zip(SIZES, astuple(setting), strict=True))
    return run.with_recipe(replace(run.recipe, student=replace(run.recipe.student, **sizes, tune_epochs=0)))


def _spec(run: Run, setting: Setting) -> Any:
    return _at(run, setting).recipe.student.spec(run.teacher.manifest.spec)


def _predicted(search: _Search, setting: Setting) -> dict[str, float]:
    return {name: search.table.latency_ms(setting, quantile(name)) for name in search.limits}


def largest_within(settings: Iterable[Setting]) -> list[Setting]:
    """Those that are no part of another: each is, in every size, at most as large as none of the others."""
    found = list(dict.fromkeys(settings))
    return [one for one in found if not any(one != other and _part_of(one, other) for other in found)]


def _part_of(small: Setting, large: Setting) -> bool:
    return all(ours <= theirs for ours, theirs in zip(astuple(small), astuple(large), strict=True))


def _try(search: _Search, finalists: int) -> list[Member]:
    """Make the best few that the tables let keep the budget, and that may be better than those that do."""
    smaller = [one.setting for one in search.made(fit=True)]
    larger = [one.setting for one in search.made(fit=False)]
    within = [
        one
        for one in search.settings
        if _foretold_within(search, one)
        and not any(_part_of(one, fitting) for fitting in smaller)
        and not any(_part_of(unfit, one) for unfit in larger)
    ]
    qualities = _judged(search.run, largest_within(within))
    for setting, quality in qualities.items():
        search.members[setting] = _member(search, setting, quality)
    least = -inf
    if (found := _chosen(search)) is not None and found.choice.kept:
        least = max(one.quality for one in search.made(fit=True))
    better = [one for one in qualities if qualities[one] > least]
    return [_made(search, one) for one in sorted(better, key=lambda one: qualities[one], reverse=True)[:finalists]]


def _foretold_within(search: _Search, setting: Setting) -> bool:
    """Whether the tables let a setting keep the limits of latency and of size."""
    most = _size_limit(search.run).get("size_bytes", inf)
    if search.bytes is not None and search.bytes.latency_ms(setting) > most:
        return False
    return all(ms <= search.limits[name] for name, ms in _predicted(search, setting).items())


def _member(search: _Search, setting: Setting, quality: float) -> Member:
    name = search.run.recipe.student.describe(_spec(search.run, setting))
    return Member(name, setting, quality, _predicted(search, setting))


def _made(search: _Search, setting: Setting) -> Member:
    member = replace(search.members[setting], outcome=compress(_at(search.run, setting)))
    search.members[setting] = member
    return member


def _judged(run: Run, settings: Sequence[Setting]) -> dict[Setting, float]:
    """Quality on the validation split of each as it is cut out, in fp32; kept."""
    path = elastic_path(run).with_suffix(".validation.json")
    with locked(path, "students of these elastic weights, which another process judges"):
        known: dict[str, float] = {}
        if path.is_file():
            with cached(path):
                known = json.loads(path.read_text())
        if missing := [one for one in settings if describe(one) not in known]:
            large, teacher = ensure_elastic(run), run.teacher
            for setting in missing:
                student = _at(run, setting).recipe.student
                model = models.build(student.spec(teacher.manifest.spec))
                student.initialise(model, large)
                found = quality_of(teacher, model, teacher.tokenizer, teacher.inputs.validation_score)
                known[describe(setting)] = found
            write_json(path, known)
    return {one: known[describe(one)] for one in settings}


def _chosen(search: _Search) -> Picked | None:
    records = [one.record for one in search.members.values() if one.record is not None]
    if not records:
        return None
    compared = [teacher_record(search.run)] if search.run.budget.get("quality_drop") is not None else []
    choice = picked_by([*compared, *records], search.run.budget, [one.id for one in compared])
    [record] = [one for one in records if one.id == choice.id]
    members = sorted(search.members.values(), key=lambda one: one.quality, reverse=True)
    return Picked(members, record, choice)


def _correct(search: _Search, tried: Sequence[Member]) -> None:
    """Scale the table by how much longer, or shorter, students took than it foretold."""
    factors = [
        one.metrics[name] / ms for one in tried for name, ms in one.predicted_ms.items() if isfinite(one.metrics[name])
    ]
    if factors:
        search.table = search.table.scaled(median(factors))


def _fastest(search: _Search) -> list[Member]:
    """The fastest there is, made now: nothing where another fits, or where it was made."""
    setting = min(search.settings, key=search.table.latency_ms)
    known = search.members.get(setting)
    if search.made(fit=True) or (known is not None and known.outcome is not None):
        return []
    search.members[setting] = _member(search, setting, _judged(search.run, [setting])[setting])
    return [_made(search, setting)]


def _concluded(search: _Search) -> Picked:
    """What the budget picks; the nearest of those that were made, where none keeps it.

    Raises:
        MillisError: the fastest is over a limit of what is known before it is judged.
    """
    if (found := _chosen(search)) is not None:
        return found
    member = search.members[min(search.settings, key=search.table.latency_ms)]
    took = ", ".join(
        f"{label(name)} {show(name, member.metrics[name])} (limit {show_limit(name, limit)})"
        for name, limit in {**search.limits, **_size_limit(search.run)}.items()
    )
    raise MillisError(
        f"no student of these elastic weights keeps the budget ({describe_budget(search.limits)}): the fastest, "
        f"{member.name}, was measured at {took}. Raise the budget, choose another backend or quantization, or train "
        "smaller sizes (student.elastic)"
    )


def _size_limit(run: Run) -> dict[str, float]:
    limit = run.budget.get("size_bytes")
    return {} if limit is None else {"size_bytes": limit}
