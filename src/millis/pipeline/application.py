"""An application, start to end: its parts trained and compressed, put together twice, judged and timed side by side.

The uncompressed chain has the parts' teachers on eager fp32, the compressed one their students; thresholds of each are
chosen with its own parts. Both answer the same test rows, and take turns on the same machine.
"""

import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any, cast

from millis.applications.contract import Plan
from millis.applications.manifest import seal
from millis.applications.measure import Measure
from millis.applications.runner import ApplicationRunner, load
from millis.benchmark.latency import Bench, Measurement, Options
from millis.described import described
from millis.errors import MillisError
from millis.pipeline import compress as one
from millis.pipeline import keys
from millis.pipeline.place import Place
from millis.pipeline.run import Run
from millis.pipeline.tracker import APPLICATION
from millis.record import Record
from millis.serving.runner import load as load_artifact
from millis.store import atomic_folder, kept_folder, locked

UNCOMPRESSED, COMPRESSED = CHAINS = ("uncompressed", "compressed")


@dataclass(frozen=True)
class Chain:
    """One of the two, judged and timed.

    Args:
        folder: Of the application.
        measures: On the test rows; the first steers.
        measurement: Of the whole turn, and of each step.
    """

    folder: Path
    measures: Sequence[Measure] = field(repr=False)
    measurement: Measurement = field(repr=False)

    @property
    def numbers(self) -> dict[str, float]:
        """All of it by name."""
        return {measure.name: measure.value for measure in self.measures} | self.measurement.metrics


@dataclass(frozen=True)
class Built:
    """What came of a build.

    Args:
        chains: `uncompressed` and `compressed`.
        records: Of the parts: teachers and students.
    """

    chains: Mapping[str, Chain]
    records: Sequence[Record] = field(repr=False)

    @property
    def folder(self) -> Path:
        """Of what is to be served."""
        return self.chains[COMPRESSED].folder


def corpus_of(plan: Plan, path: str | None, place: Place) -> Path:
    """Where the data of an application lies: one's own, or the corpus that ships with it, written now.

    Raises:
        MillisError: it is not laid out as the application needs it.
    """
    if path is None:
        folder = kept_folder(place.outputs / "corpora" / plan.name, plan.write_corpus)
    else:
        folder = Path(path).expanduser().absolute()
        if not folder.is_dir():
            raise MillisError(f"data.path={path} is not a folder; expected one with the data of the application")
    plan.check(folder)
    return folder


def inputs_of(plan: Plan, corpus: Path, place: Place) -> Mapping[str, Sequence[str]]:
    """Of each part, the overrides that name its task and its data, which lies beside the corpora."""
    folder = kept_folder(place.outputs / "corpora" / f"{plan.name}-parts", partial(plan.prepare, corpus))
    return plan.inputs(corpus, folder)


def build(plan: Plan, corpus: Path, runs: Mapping[str, Run], place: Place, options: Options) -> Built:
    """Train, compress, put together, judge and time.

    Args:
        plan: Of the application.
        corpus: Its data.
        runs: The recipe of each part.
        place: Where both chains go.
        options: How they are timed.
    """
    with place.tracker.opened(plan.name, APPLICATION, {**place.said, "app": described(plan)}) as tracked:
        records = {
            UNCOMPRESSED: {part: one.teacher_record(run) for part, run in runs.items()},
            COMPRESSED: {part: _student(part, run) for part, run in runs.items()},
        }
        artifacts = {
            chain: {part: Path(record.artifact) for part, record in made.items()} for chain, made in records.items()
        }
        rows, folders = plan.rows(corpus), folders_of(plan, corpus, artifacts, place)
        with locked(folders[COMPRESSED], f"the application {plan.name}, which another process builds"):
            measures = {name: put_together(plan, corpus, artifacts[name], folders[name], rows) for name in CHAINS}
            measured = _timed(folders, [*plan.requests(rows)], options)
        chains = {name: Chain(folders[name], measures[name], measured[name]) for name in CHAINS}
        if tracked.run is not None:
            tracked.run.summarize(
                {f"{name}/{key}": value for name in CHAINS for key, value in chains[name].numbers.items()}
            )
    return Built(chains, [record for made in records.values() for record in made.values()])


def folders_of(plan: Plan, corpus: Path, artifacts: Mapping[str, Mapping[str, Path]], place: Place) -> dict[str, Path]:
    """Where each chain goes: the name says by a fingerprint what it is built of, so another one lies beside it.

    Args:
        artifacts: Of each chain, those of its parts.
    """
    key = keys.application(plan, corpus, artifacts)
    return {chain: place.outputs / "applications" / f"{plan.name}-{chain}-{key[:8]}" for chain in artifacts}


def put_together(
    plan: Plan, corpus: Path, artifacts: Mapping[str, Path], folder: Path, rows: Sequence[Any]
) -> Sequence[Measure]:
    """Write the folder of an application and judge it.

    Args:
        artifacts: Of each part.
        folder: Where; one that was there is replaced.
        rows: For `judge`.
    """
    with atomic_folder(folder) as temporary:
        parts = {part: temporary / part for part in artifacts}
        for part, source in artifacts.items():
            shutil.copytree(source, parts[part])
        loaded = {part: load_artifact(place, verify=False, trust_code=True) for part, place in parts.items()}
        settings = dict(plan.settle(corpus, loaded, temporary))
        recipe = described(plan)
        seal(temporary, folder.name, plan.kind, parts, settings=settings, recipe=recipe)
        runner = cast(ApplicationRunner, load(temporary, verify=False, trust_code=True))  # made above
        measures = runner.judge(rows)
        judged = {measure.name: measure.value for measure in measures}
        seal(temporary, folder.name, plan.kind, parts, settings=settings, recipe=recipe, judged=judged)
    return measures


def _student(part: str, run: Run) -> Record:
    outcome = one.compress(run)
    if not isinstance(outcome, one.Compressed):
        raise MillisError(f"part {part!r} is over the budget that its overrides name: allow more, or leave it out")
    return outcome.record


def _timed(folders: Mapping[str, Path], requests: Sequence[Any], options: Options) -> dict[str, Measurement]:
    with Bench(folders[UNCOMPRESSED], requests, options) as bench:
        return bench.measure(folders)
