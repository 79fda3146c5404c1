"""Records: an artifact written, judged on the very path it is deployed on, and put on paper once."""

from collections.abc import Mapping
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any, NamedTuple, cast

import torch
from torch import nn

from millis.backends.eager import session_of
from millis.benchmark.latency import Measurement
from millis.benchmark.quality import Answers, answer
from millis.early_exit.saving import exit_metrics
from millis.metrics import completed
from millis.models.ngrams import LONGEST, NgramTokenizer
from millis.pipeline import keys
from millis.pipeline.bundle import bundle_folder
from millis.pipeline.elastic import elastic_training
from millis.pipeline.exits import notes_of
from millis.pipeline.general import general_note
from millis.pipeline.initial_student import student_spec, unshrunk_speedup
from millis.pipeline.inputs import Inputs
from millis.pipeline.measure import eager_outputs, judged_latency, own_threads, recipe_name, tokens_kept, write
from millis.pipeline.place import slug
from millis.pipeline.plan import Plan
from millis.pipeline.recipe import Recipe
from millis.pipeline.run import Run
from millis.pipeline.runtime import Choice
from millis.pipeline.taught_answers import learned_blend
from millis.record import Record
from millis.serving.one_pass import Runner
from millis.serving.parity import parity, same_texts
from millis.serving.runner import bound_threads, load
from millis.serving.writer import Writer
from millis.storage.manifest import FILE_NAME as MANIFEST
from millis.storage.manifest import Manifest, seal, size_bytes
from millis.store import atomic_file, cached, locked
from millis.tasks.judging import Judgement, judge, scores
from millis.training.fit import Fitted
from millis.training.module import VALIDATION
from millis.types import Decoder

WRITTEN_TEXTS = 64  # of the test split that eager writes an answer to, which takes it long
CHOICE = "backend_candidates"  # where a record's environment says how its runtime was chosen
_PLAIN_NAMES = {"teacher": "teacher", "baseline": "teacher int8", "linear": "linear"}


class Made(NamedTuple):
    """A trained model, and how its training went."""

    model: nn.Module
    fitted: Fitted


def ensure_record(run: Run, planned: Plan, made: Made, kind: str, choice: Choice | None = None) -> Record:
    """The record of a trained model on the recipe's backend: written once, then read.

    Args:
        kind: Of the record: `teacher`, `baseline`, `linear` or `student`.
        choice: How the runtime was chosen, where it was.
    """
    measured = judged_latency(run, planned, made.model)
    inputs = run.teacher.inputs
    key = keys.record(run, planned, kind, measured, choice)
    path = record_path(inputs.cache, key)
    with locked(path, "this record, which another process makes"):
        if not (path.is_file() and _is_whole(read_record(inputs, key))):
            record = _with_choice(_judged(run, planned, made, measured, kind, key), choice)
            with atomic_file(path) as temporary:
                temporary.write_text(record.to_json() + "\n", encoding="utf-8")
    return read_record(inputs, key)


def _with_choice(record: Record, choice: Choice | None) -> Record:
    """The record with how its runtime was chosen."""
    if choice is None:
        return record
    environment = {**record.environment, CHOICE: [asdict(candidate) for candidate in choice.candidates]}
    return replace(record, notes=[*record.notes, choice.sentence()], environment=environment)


def _is_whole(record: Record) -> bool:
    """Whether the artifact a record speaks of is still there."""
    return (Path(record.artifact) / MANIFEST).is_file()


def record_path(cache: Path, id: str) -> Path:
    """Where a record is kept."""
    return cache / "record" / f"{id}.json"


def read_record(inputs: Inputs, id: str) -> Record:
    """A record that was kept."""
    path = record_path(inputs.cache, id)
    with cached(path):
        return completed(Record.from_json(path.read_text(encoding="utf-8")), inputs.dataset.labels)


def assembled(inputs: Inputs, judgement: Judgement, measured: Measurement, **rest: Any) -> Record:
    """What was measured and what was judged, on one sheet.

    Args:
        judgement: On the test split.
        measured: The artifact's latency, size and memory.
        rest: The other fields of `Record`; `metrics` and `environment` are added to what is known here.
    """
    return Record(
        metrics={**judgement.values, **measured.metrics, **rest.pop("metrics")},
        intervals={**judgement.intervals, **measured.intervals},
        quality=inputs.task.metric,
        predictions=judgement.answers,
        references=judgement.references,
        latency_ms=measured.latency_ms,
        reference_latency_ms=measured.reference_latency_ms,
        stages_ms=measured.stages_ms,
        processes=measured.processes,
        judged=judgement.judged,
        environment={**measured.environment, "data": inputs.data_fingerprint, **rest.pop("environment")},
        **rest,
    )


def _judged(run: Run, planned: Plan, made: Made, measured: Measurement, kind: str, key: str) -> Record:
    """Write the artifact and judge it on the very path it is deployed on, one request at a time."""
    inputs, dataset, model = run.teacher.inputs, run.teacher.inputs.dataset, made.model
    name = _PLAIN_NAMES.get(kind) or recipe_name(run.recipe, planned)
    folder = run.place.outputs / "artifacts" / f"{slug(name)}-{key[:8]}"
    manifest = write(run, model, folder, planned)
    with own_threads():
        runner = load(folder, bound_threads(manifest, torch.get_num_threads()), verify=False, trust_code=True)
        tested, validated = answer(runner, dataset.test.texts), answer(runner, dataset.validation.texts)
    agreement = _agreement(run, planned, model, runner, tested)
    manifest = seal(folder, replace(manifest, name=name, parity=agreement))
    steering = {
        f"validation_{metric}": value
        for metric, value in scores(inputs.task, validated.predictions, dataset.validation.references).items()
    }
    more, notes = _particulars(run, planned, made, measured, tested, manifest, kind)
    return assembled(
        inputs,
        judge(inputs.task, tested.predictions, dataset.test.references),
        measured,
        id=key,
        name=name,
        kind=kind,
        metrics={**steering, "size_bytes": float(size_bytes(manifest)), **more},
        config=run.described,
        seed=run.recipe.seed,
        artifact=str(folder),
        parity=agreement,
        environment={"measuring": measured.notes},
        notes=notes,
    )


def _agreement(run: Run, planned: Plan, model: nn.Module, runner: Runner, tested: Answers) -> dict[str, float]:
    """Agreement of an artifact with the model that it was made of, on the first test texts."""
    test = run.teacher.inputs.dataset.test
    if runner.judged_as_written:
        texts = test.texts[:WRITTEN_TEXTS]
        eager = cast(Writer, runner).beside(cast(Decoder, session_of(model)))
        return same_texts(tested.predictions[: len(texts)], [eager.replied(text).value() for text in texts])
    expected = eager_outputs(run.teacher, model, planned, test, len(tested.outputs), runner.manifest)
    return parity(runner, test.texts[: len(expected)], tested.outputs, expected)


def _particulars(
    run: Run, planned: Plan, made: Made, measured: Measurement, tested: Answers, manifest: Manifest, kind: str
) -> tuple[dict[str, float], list[str]]:
    """Metrics that only some records have, and what a reader should know."""
    recipe, teacher, dataset = run.recipe, run.teacher, run.teacher.inputs.dataset
    parts = (manifest.task, manifest.quantization, manifest.storage)
    decided = [note for part in parts for note in (part or {}).get("notes", [])]
    notes = [*dataset.notes, *measured.notes, *decided]
    metrics: dict[str, float] = {}
    if kind == "teacher":
        notes += filter(None, (teacher.read, teacher.note))
    if kind == "student" and planned.trains and (learned := learned_blend(recipe, teacher).note()):
        notes.append(learned)
    shared = elastic_training(run) if kind == "student" and recipe.elastic is not None else None
    fitted = made.fitted if shared is None or recipe.student.trains else shared
    if kind == "student" and recipe.general is not None:
        notes.append(general_note(run, student_spec(teacher, recipe.student)[0]))
    if (unfinished := fitted.note("trainer" if kind == "student" else "teacher.trainer")) is not None:
        metrics["validation_rise_points"] = fitted.rise
        notes.append(unfinished)
    if shared is not None:
        notes += _elastic_notes(recipe, shared, made.fitted, bundle_folder(run))
    if recipe.early_exit is not None:
        metrics |= exit_metrics(planned.spec, tested.steps)
        notes += notes_of(manifest, {**measured.metrics, **metrics})
    if recipe.tokens is not None:
        metrics["tokens_kept_share"] = tokens_kept(teacher, made.model, planned, dataset.test)
        notes.append(_tokens_note(recipe.tokens.kept, {**measured.metrics, **metrics}))
    if recipe.timed:
        shrunk = measured.metrics["speedup"] / unshrunk_speedup(run)
        metrics["shrunk_speedup"] = shrunk
        notes.append(_shrunk_note(recipe, shrunk))
    if tested.truncated:
        too_long = f"{tested.truncated} of {len(dataset.test)} test texts"
        if manifest.answers.judged_as_written:
            notes.append(f"{too_long} leave no room for what is to be written: their ends are not read")
        else:
            notes.append(f"{too_long} exceed {_room(planned, manifest)}: truncated")
    return metrics, notes


def _elastic_notes(recipe: Recipe, shared: Fitted, own: Fitted, bundle: Path) -> list[str]:
    """What a student that was cut out of elastic weights took, what tuning added, and where others are cut out."""
    cut = (
        f"cut out of elastic weights, which were trained once, for all students of them, in {shared.seconds:.0f} s; "
        f"others: millis pick artifact={bundle} budget.latency_p99_ms=MS"
    )
    if not recipe.student.trains:
        return [cut]
    before, tuning = own.history[0][VALIDATION], f"{own.epochs} epochs of tuning in {own.seconds:.0f} s"
    return [cut, f"{tuning}: validation {before:.2f} before, {own.quality:.2f} after"]


def _room(planned: Plan, manifest: Manifest) -> str:
    """How much of a text is read."""
    if isinstance(planned.tokenizer, NgramTokenizer):
        return f"{LONGEST:,} characters"
    return f"{manifest.max_length} tokens"


def _shrunk_note(recipe: Recipe, speedup: float) -> str:
    """What was asked for and what came of it, of a student made smaller to a stated speed-up."""
    factorized = recipe.factorization is not None and recipe.factorization.timed
    included = recipe.early_exit is not None or recipe.tokens is not None
    if recipe.to_latency is not None and not (factorized or included):
        return recipe.to_latency.outcome(speedup)
    asked = [] if recipe.to_latency is None else [f"pruning to {recipe.to_latency.target_speedup:g}x"]
    asked += [recipe.factorization.describe()] if factorized else []
    more = ", what it skips included" if included else ""
    return f"{' and '.join(asked)} made the student {speedup:.2f} times as fast as it was before, as measured{more}"


def _tokens_note(asked: float, metrics: Mapping[str, float]) -> str:
    return (
        f"of the test texts' tokens, {metrics['tokens_kept_share']:.0%} go through a feed-forward, averaged over "
        f"layers and counted in fp32 ({asked:.0%} of the training texts' were asked for); that saves "
        f"{metrics['measured_saving_share']:.0%} of the time of the same model with all tokens, one request at a time"
    )
