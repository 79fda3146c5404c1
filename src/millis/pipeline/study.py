"""From finished trials to the frontier: one last measurement side by side, then every file a user takes away."""

import json
import shutil
from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from millis import tracking
from millis.benchmark.extend import extended
from millis.benchmark.latency import Measurement
from millis.budget import Choice, limits_of, pick, undecided
from millis.errors import MillisError
from millis.frontier import DIRECTIONS, Frontier
from millis.pipeline import keys
from millis.pipeline.measure import measure, repeated
from millis.pipeline.place import slug
from millis.pipeline.records import CHOICE
from millis.pipeline.run import Run
from millis.pipeline.student import tracked_model as tracked_student
from millis.pipeline.teacher import Teacher
from millis.pipeline.teacher import tracked_model as tracked_teacher
from millis.pipeline.tracker import SUMMARY, tracked
from millis.record import Record, write_records
from millis.report.figures import frontier_figure
from millis.report.html import write_html
from millis.report.tables import frontier_rows
from millis.storage.manifest import open_manifest
from millis.store import atomic_folder, cached, locked, write_json
from millis.sweep.frontier import frontier
from millis.sweep.rungs import Rungs
from millis.units import Better

CONTENDER = 0.05  # chance of being on the frontier from which a model is worth measuring once more


@dataclass(frozen=True)
class Outcome:
    """What a sweep leaves.

    Args:
        records: Teacher, baseline and every student that was trained; frontier members were measured side by side.
        choice: What the budget picks; None without a budget.
        run: Folder of the W&B run; None where tracking is off.
    """

    folder: Path
    records: list[Record]
    frontier: Frontier
    choice: Choice | None
    run: Path | None


@dataclass(frozen=True)
class Study:
    """A search.

    Args:
        directions: Metric → `maximize` or `minimize`; `quality` is the task's metric.
        n_trials: In all, over resumes and workers.
        minimum: Trials that are run whatever they take.
        timeout_s: No new trial once the trials' trainings have taken so many seconds; None for no limit.
        enqueue: Recipes that are tried first, by the keys that they set.
        rungs: Which trainings are ended before their time; None ends none.
    """

    name: str
    directions: Mapping[str, str]
    n_trials: int = 0
    minimum: int = 0
    timeout_s: float | None = None
    enqueue: Sequence[Mapping[str, Any]] = ()
    rungs: Rungs | None = None

    def objectives(self, quality: str) -> dict[str, str]:
        """`directions` with `quality` spelled as the metric it is on the test split."""
        return {quality if name == "quality" else name: way for name, way in self.directions.items()}

    def check(self, metric: str, better: Better) -> None:
        """Refuse a search for the worse quality.

        Raises:
            MillisError: `directions.quality` is not the way that the task's metric runs.
        """
        way, expected = self.directions.get("quality"), DIRECTIONS[better]
        if way not in (None, expected):
            raise MillisError(
                f"study.directions.quality={way}, but of {metric} {better} is better: expected {expected}"
            )


def conclude(
    run: Run, study: Study, records: Sequence[Record], notes: Sequence[str], trials: Mapping[str, int]
) -> Outcome:
    """Measure the contenders together, find the frontier, write records, page, artifacts and the tracked run."""
    folder = run.place.outputs / "sweep" / study.name
    with locked(folder / "conclusion", "another worker, which concludes the sweep"):  # they may end together
        return _conclude(run, study, records, notes, trials, folder)


def _conclude(
    run: Run,
    study: Study,
    records: Sequence[Record],
    notes: Sequence[str],
    trials: Mapping[str, int],
    folder: Path,
) -> Outcome:
    named = _distinct(records)
    aims = study.objectives(named[0].quality)
    first, budget = frontier(named, aims), run.budget
    eligible = {record.id for record in undecided(named, budget, first.unbeaten)}
    if limits_of(budget):
        eligible.add(pick(named, budget, first.unbeaten).id)
    contenders = [
        r
        for r in named
        if r.kind != "student" or first.of(r).probability >= CONTENDER or first.of(r).on_frontier or r.id in eligible
    ]
    named, measured = _side_by_side(run, named, contenders, first.unbeaten)
    found = frontier(named, aims)
    # On a noisy machine the new numbers can let in one that was left out; a member is always measured with the others.
    while late := [record for record in named if found.of(record).on_frontier and record.name not in measured]:
        contenders += late
        named, measured = _side_by_side(run, named, contenders, found.unbeaten)
        found = frontier(named, aims)
    members = {standing.id for standing in found.members}
    kept = [_keep(record, folder) if record.id in members or record.kind != "student" else record for record in named]
    kept[0] = replace(kept[0], notes=[*kept[0].notes, *notes])
    choice = pick(kept, budget, found.unbeaten) if limits_of(budget) else None
    write_records(folder / "records.jsonl", [replace(r, artifact=_relative(r.artifact, folder)) for r in kept])
    write_html(folder / "frontier.html", kept, found, title=f"{study.name}: the frontier", budget=budget)
    return Outcome(folder, kept, found, choice, _track(run, study, kept, found, trials))


def _side_by_side(
    run: Run,
    named: Sequence[Record],
    contenders: Sequence[Record],
    passed_over: Collection[str],
) -> tuple[list[Record], set[str]]:
    """`named` with the contenders' latencies from interleaved runs, and the names that were in them.

    There is one run, and another as long as a contender near a limit would be picked if it kept it; those whose ids are
    `passed_over` would not.
    """

    def remeasured(found: Mapping[str, Measurement]) -> list[Record]:
        return [_remeasured(record, found[record.name]) if record.name in found else record for record in named]

    def is_open(found: Mapping[str, Measurement]) -> bool:
        near = undecided(remeasured(found), run.budget, passed_over)
        return any(record.name in found for record in near)

    found = extended(lambda number: _together(run, contenders, number), is_open)
    return remeasured(found), set(found)


def _together(run: Run, contenders: Sequence[Record], number: int) -> dict[str, Measurement]:
    """One interleaved run over `contenders`, the teacher as the reference; kept under their ids."""
    teacher = run.teacher
    with repeated(run, number) as asked:
        path = teacher.inputs.cache / "latency" / f"{keys.together(contenders, asked.benchmark)}.json"
        with locked(path, "these latencies, which another process measures"):
            if not path.is_file():
                artifacts = {record.name: Path(record.artifact) for record in contenders if record.kind != "teacher"}
                reference = {record.name: teacher.folder for record in contenders if record.kind == "teacher"}
                found = measure(teacher, asked.benchmark, {**reference, **artifacts})
                write_json(path, {name: asdict(measurement) for name, measurement in found.items()})
    with cached(path):
        return {name: Measurement(**values) for name, values in json.loads(path.read_text()).items()}


def _remeasured(record: Record, measured: Measurement) -> Record:
    kept = {key: record.environment[key] for key in ("data", CHOICE) if key in record.environment}
    return replace(
        record,
        metrics={**record.metrics, **measured.metrics},
        intervals={**record.intervals, **{name: (low, high) for name, (low, high) in measured.intervals.items()}},
        latency_ms=measured.latency_ms,
        reference_latency_ms=measured.reference_latency_ms,
        processes=measured.processes,
        stages_ms=measured.stages_ms,
        notes=[*(note for note in record.notes if note not in record.environment["measuring"]), *measured.notes],
        environment={**measured.environment, **kept, "measuring": measured.notes},
    )


def _distinct(records: Sequence[Record]) -> list[Record]:
    """Each record once, under a name of its own: the second `static 256 int8` is `static 256 int8 #2`."""
    unique = list({record.id: record for record in records}.values())
    seen: Counter[str] = Counter()
    named = []
    for record in unique:
        seen[record.name] += 1
        count = seen[record.name]
        named.append(record if count == 1 else replace(record, name=f"{record.name} #{count}"))
    return named


def _keep(record: Record, folder: Path) -> Record:
    """Copy a member's artifact beside the report."""
    target = folder / "artifacts" / f"{slug(record.name)}-{record.id[:6]}"
    if not target.exists():  # an artifact is never rewritten: a tracked run may refer to it
        with atomic_folder(target) as temporary:
            shutil.copytree(record.artifact, temporary, dirs_exist_ok=True)
    return replace(record, artifact=str(target))


def _relative(artifact: str, folder: Path) -> str:
    path = Path(artifact)
    return str(path.relative_to(folder)) if path.is_relative_to(folder) else artifact


def _track(
    run: Run, study: Study, records: Sequence[Record], found: Frontier, trials: Mapping[str, int]
) -> Path | None:
    """The tracked run that shows the study; its folder."""
    if not run.place.tracker.in_wandb:
        return None
    members = [_member(study.name, record, run.teacher) for record in records if found.of(record).on_frontier]
    latency = next((name for name in found.objectives if name.startswith("latency")), "latency_p50_ms")
    with tracked(run.place.tracker, study.name, SUMMARY, run.described) as kept:
        if kept.run is None:
            return None
        figure = frontier_figure(frontier_rows(records, found), latency)
        tracking.log_study(kept.run, records, members, trials=trials, figure=figure)
        place = kept.run.folder
    tracking.close()
    return place


def _member(study: str, record: Record, teacher: Teacher) -> tracking.Member:
    """A record with its artifact and the weights that this was made of."""
    folder, own = Path(record.artifact), tracked_teacher(teacher.folder, teacher.fingerprint)
    if record.kind == "teacher":
        return tracking.Member(record, None, own)
    made = tracked_student(teacher.inputs.cache, open_manifest(folder, verify=False).fingerprint)
    parent = None if record.kind == "linear" else made or own  # a linear model is made of the texts alone
    metadata = {"record": record.id, "name": record.name, "metrics": record.metrics}
    return tracking.Member(record, tracking.Model("model", f"{study}-{record.name}", folder, metadata), parent)
