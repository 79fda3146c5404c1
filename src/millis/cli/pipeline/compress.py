"""One recipe, start to end: latency first, then training, then the artifact, then its quality as deployed."""

import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, NamedTuple

import torch
from omegaconf import DictConfig, open_dict
from torch import nn

from millis import __version__
from millis.benchmark.agent.request import check_taken
from millis.benchmark.latency import HERE, Measurement
from millis.benchmark.quality import Answers, answer
from millis.budget import latency_probability, required
from millis.cli.pipeline import teacher as teachers
from millis.cli.pipeline.exits import notes_of
from millis.cli.pipeline.inputs import Inputs, plain
from millis.cli.pipeline.measure import (
    deployed,
    eager_outputs,
    judged_latency,
    own_threads,
    recipe_name,
    tokens_kept,
    weights_decide,
    write,
)
from millis.cli.pipeline.plan import METHODS, Plan, Recipe
from millis.cli.pipeline.runtime import Choice, settled_backend
from millis.cli.pipeline.start import unshrunk_speedup
from millis.cli.pipeline.student import ensure_student, learned_blend, plan, settled, tracked_model
from millis.cli.pipeline.teacher import Teacher, ensure_teacher
from millis.cli.pipeline.tracked import trial
from millis.cli.targets import instantiate
from millis.early_exit.saving import exit_metrics
from millis.metrics import completed
from millis.models.ngrams import LONGEST, NgramTokenizer
from millis.models.outputs import is_one_text
from millis.record import Record
from millis.serving.parity import parity
from millis.serving.runner import bound_threads, load
from millis.storage.manifest import FILE_NAME as MANIFEST
from millis.storage.manifest import Manifest, seal, size_bytes
from millis.store import atomic_file, cached, fingerprint, locked
from millis.tasks.judging import judge, scores
from millis.training.fit import Fitted

PARITY_TEXTS = 256  # of the test split: label agreement in steps of 0.4 %, for a second or two of the teacher's time
CHOICE = "backend_candidates"  # where a record's environment says how its runtime was chosen
_PLAIN_NAMES = {"teacher": "teacher", "baseline": "teacher int8", "linear": "linear"}
MEASURED = ("latency_p50_ms", "latency_p99_ms", "size_bytes")  # limits that are known before training


@dataclass(frozen=True)
class Skipped:
    """A recipe that was measured and not trained.

    Args:
        name: Of the recipe.
        measurement: Latency, size and memory of its architecture.
        excess: Limit → how far over it, as a share of it: 0.2 is 20 % over.
        probability: That the limits of latency are kept all the same, 0..1.
    """

    name: str
    measurement: Measurement
    excess: dict[str, float]
    probability: float


@dataclass(frozen=True)
class Compressed:
    """A recipe carried out.

    Args:
        seconds: Training time, spent now or earlier.
        excess: Limit → how far over it, as a share of it; negative is room left.
        probability: That the limits of latency are kept, 0..1.
    """

    record: Record
    seconds: float
    excess: dict[str, float]
    probability: float


def compress(cfg: DictConfig, teacher: Teacher | None = None) -> Compressed | Skipped:
    """Teacher → student → artifact → record, or only the measurement where it breaks a limit of `cfg.budget`."""
    check_request(cfg)
    Recipe.of(cfg)  # what cannot be is refused before a teacher is trained for it
    teacher = teacher or ensure_teacher(cfg)
    with trial(cfg) as run:
        outcome, key = _carried_out(cfg, teacher)
        name = f"{outcome.name if isinstance(outcome, Skipped) else outcome.record.name}-{key[:6]}"
        start = teachers.tracked_model(teacher.folder, teacher.fingerprint)
        run.end(name, _numbers(outcome), start, tracked_model(teacher.inputs.cache, key))
    return outcome


def _numbers(outcome: Compressed | Skipped) -> dict[str, Any]:
    """What a recipe's run shows of its outcome."""
    over = {f"over_budget/{limit}": excess for limit, excess in outcome.excess.items()}
    if isinstance(outcome, Skipped):
        return {**outcome.measurement.metrics, **over, "skipped": True}
    return {**outcome.record.metrics, **over, "training_s": outcome.seconds, "skipped": False}


def _carried_out(cfg: DictConfig, teacher: Teacher) -> tuple[Compressed | Skipped, str]:
    """What came of the recipe, and the fingerprint of its weights."""
    cfg, choice = settled_backend(cfg, teacher)
    planned = settled(cfg, teacher, plan(cfg, teacher))
    name = recipe_name(cfg, planned)
    early = ensure_student(cfg, teacher, planned)[0] if weights_decide(cfg) else None
    measured = judged_latency(cfg, teacher, planned, early)
    limits = [limit for limit in MEASURED if cfg.budget[limit] is not None]
    trained_size = instantiate(cfg.storage) is not None  # what an archive takes depends on the weights in it
    known = [limit for limit in limits if not (trained_size and limit == "size_bytes")]
    excess = {limit: measured.metrics[limit] / cfg.budget[limit] - 1 for limit in known}
    probability = latency_probability(measured, cfg.budget)
    if any(over > 0 for over in excess.values()):
        return Skipped(name, measured, excess, probability), planned.fingerprint
    model, fitted = ensure_student(cfg, teacher, planned)
    record = _record(cfg, teacher, planned, Made(model, fitted), "student", choice)
    excess |= {limit: record.metrics[limit] / cfg.budget[limit] - 1 for limit in limits if limit not in known}
    if cfg.budget.quality_drop is not None:
        steering = f"validation_{record.quality}"
        reference, allowed = teacher_record(cfg, teacher).metrics[steering], cfg.budget.quality_drop
        drop = record.reading.loss(record.metrics[steering], reference)
        excess["quality_drop"] = (drop - allowed) / max(allowed, 1.0)
    return Compressed(record, fitted.seconds, excess, probability), planned.fingerprint


def check_request(cfg: DictConfig) -> None:
    """Refuse what cannot be measured, before anything is trained.

    Raises:
        MillisError: a backend whose artifacts no agent takes.
    """
    if cfg.benchmark.where != HERE:
        check_taken("the student", instantiate(cfg.backend).name, {})
    required(cfg.budget)


def teacher_record(cfg: DictConfig, teacher: Teacher) -> Record:
    """The teacher on eager fp32: the reference of every speed-up."""
    cfg = _untouched(cfg, "millis.backends.eager.Eager", {"_target_": "millis.quantization.spec.none"})
    return _record(cfg, teacher, plan(cfg, teacher), Made(teacher.module, teacher.fitted), "teacher")


def baseline_record(cfg: DictConfig, teacher: Teacher) -> Record:
    """The teacher on ONNX Runtime in dynamic int8: what a user gets with no training at all."""
    int8 = {"_target_": "millis.quantization.spec.Quantization"}
    cfg = _untouched(cfg, "millis.backends.onnxruntime.OnnxRuntime", int8)
    return _record(cfg, teacher, plan(cfg, teacher), Made(teacher.module, teacher.fitted), "baseline")


def linear_record(cfg: DictConfig, teacher: Teacher) -> Record:
    """A linear model of words and runs of characters on ONNX Runtime: what a user has without any of this."""
    cfg = _untouched(
        cfg,
        "millis.backends.onnxruntime.OnnxRuntime",
        {"_target_": "millis.quantization.spec.none"},
        "millis.models.ngram_student.LinearBaseline",
    )
    with open_dict(cfg):  # it learns from labels alone
        cfg.distillation = {"_target_": "millis.distillation.objective.Distillation", "alpha": 0.0}
    planned = plan(cfg, teacher)
    return _record(cfg, teacher, planned, Made(*ensure_student(cfg, teacher, planned)), "linear")


def reference_records(cfg: DictConfig, teacher: Teacher) -> list[Record]:
    """What every table begins with: the teacher, it in int8 and, where labels are answered, the linear model."""
    made = [teacher_record(cfg, teacher), baseline_record(cfg, teacher)]
    return [*made, linear_record(cfg, teacher)] if is_one_text(teacher.inputs.task.outputs) else made


def _untouched(
    cfg: DictConfig, backend: str, quantization: dict[str, Any], student: str = "millis.models.student.Teacher"
) -> DictConfig:
    """`cfg` with no method in it and, unless another is named, the teacher itself as the student."""
    cfg = cfg.copy()
    with open_dict(cfg):
        cfg.student = {"_target_": student}
        cfg.backend, cfg.quantization, cfg.ensemble, cfg.blend = {"_target_": backend}, quantization, [], False
        cfg.storage = {"_target_": "millis.storage.archived.none"}
        for method in METHODS:
            cfg[method] = {"_target_": "millis.quantization.spec.none"}
    return cfg


class Made(NamedTuple):
    """A trained model, and how its training went."""

    model: nn.Module
    fitted: Fitted


def _record(
    cfg: DictConfig, teacher: Teacher, planned: Plan, made: Made, kind: str, choice: Choice | None = None
) -> Record:
    """The record of a trained model on `cfg.backend`: written once, then read."""
    measured = judged_latency(cfg, teacher, planned, made.model)
    nodes = [*deployed(cfg), plain(cfg.task)]
    found = [] if choice is None else [asdict(choice)]
    if planned.spec.get("exits"):
        nodes.append(plain(cfg.early_exit))
    said = teacher.inputs.dataset.notes  # other files may hold the same rows, read otherwise
    key = fingerprint("record", __version__, kind, planned.fingerprint, nodes, measured.latency_ms, *found, said)
    path = record_path(teacher.inputs.cache, key)
    with locked(path, "this record, which another process makes"):
        if not (path.is_file() and _is_whole(read_record(teacher.inputs, key))):
            record = _told(_judge(cfg, teacher, planned, made, measured, kind, key), choice)
            with atomic_file(path) as temporary:
                temporary.write_text(record.to_json() + "\n", encoding="utf-8")
    return read_record(teacher.inputs, key)


def _told(record: Record, choice: Choice | None) -> Record:
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


def _judge(
    cfg: DictConfig, teacher: Teacher, planned: Plan, made: Made, measured: Measurement, kind: str, key: str
) -> Record:
    """Write the artifact and judge it on the very path it is deployed on, one request at a time."""
    inputs, dataset, model = teacher.inputs, teacher.inputs.dataset, made.model
    name = _PLAIN_NAMES.get(kind) or recipe_name(cfg, planned)
    folder = Path(cfg.paths.outputs).absolute() / "artifacts" / f"{slug(name)}-{key[:8]}"
    manifest = write(cfg, teacher, model, folder, planned)
    with own_threads():
        runner = load(folder, bound_threads(manifest, torch.get_num_threads()), verify=False, trust_code=True)
        tested, validated = answer(runner, dataset.test.texts), answer(runner, dataset.validation.texts)
    expected = eager_outputs(teacher, model, planned, dataset.test, PARITY_TEXTS, manifest)
    agreement = parity(runner, dataset.test.texts[:PARITY_TEXTS], tested.outputs[:PARITY_TEXTS], expected)
    manifest = seal(folder, replace(manifest, name=name, parity=agreement))
    judgement = judge(inputs.task, tested.predictions, dataset.test.references)
    steering = {
        f"validation_{metric}": value
        for metric, value in scores(inputs.task, validated.predictions, dataset.validation.references).items()
    }
    metrics = {**judgement.values, **steering, **measured.metrics, "size_bytes": float(size_bytes(manifest))}
    more, notes = _particulars(cfg, teacher, planned, made, measured, tested, manifest, kind)
    return Record(
        id=key,
        name=name,
        kind=kind,
        metrics={**metrics, **more},
        intervals={**judgement.intervals, **measured.intervals},
        quality=inputs.task.metric,
        config=plain(cfg),
        seed=cfg.seed,
        artifact=str(folder),
        predictions=judgement.answers,
        references=judgement.references,
        latency_ms=measured.latency_ms,
        reference_latency_ms=measured.reference_latency_ms,
        stages_ms=measured.stages_ms,
        parity=agreement,
        environment={**measured.environment, "data": inputs.data_fingerprint, "measuring": measured.notes},
        notes=notes,
        processes=measured.processes,
        judged=judgement.judged,
    )


def _particulars(
    cfg: DictConfig,
    teacher: Teacher,
    planned: Plan,
    made: Made,
    measured: Measurement,
    tested: Answers,
    manifest: Manifest,
    kind: str,
) -> tuple[dict[str, float], list[str]]:
    """Metrics that only some records have, and what a reader should know."""
    dataset = teacher.inputs.dataset
    decided = [note for part in (manifest.quantization, manifest.storage) for note in (part or {}).get("notes", [])]
    notes = [*dataset.notes, *measured.notes, *decided]
    metrics: dict[str, float] = {}
    if kind == "teacher" and teacher.note:
        notes.append(teacher.note)
    if kind == "student" and planned.trains and (learned := learned_blend(cfg, teacher, Recipe.of(cfg)).note()):
        notes.append(learned)
    if (unfinished := made.fitted.note("trainer" if kind == "student" else "teacher.trainer")) is not None:
        metrics["validation_rise_points"] = made.fitted.rise
        notes.append(unfinished)
    if planned.spec.get("exits"):
        metrics |= exit_metrics(planned.spec, tested.steps)
        notes += notes_of(manifest, {**measured.metrics, **metrics})
    if planned.spec.get("tokens"):
        metrics["tokens_kept_share"] = tokens_kept(teacher, made.model, planned, dataset.test)
        notes.append(_tokens_note(cfg, {**measured.metrics, **metrics}))
    if (recipe := Recipe.of(cfg)).timed:
        shrunk = measured.metrics["speedup"] / unshrunk_speedup(cfg, teacher)
        metrics["shrunk_speedup"] = shrunk
        notes.append(_shrunk_note(recipe, shrunk))
    if tested.truncated:
        notes.append(
            f"{tested.truncated} of {len(dataset.test)} test texts exceed {_room(planned, manifest)}: truncated"
        )
    return metrics, notes


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


def _tokens_note(cfg: DictConfig, metrics: Mapping[str, float]) -> str:
    return (
        f"of the test texts' tokens, {metrics['tokens_kept_share']:.0%} go through a feed-forward, averaged over "
        f"layers and counted in fp32 ({cfg.tokens.kept:.0%} of the training texts' were asked for); that saves "
        f"{metrics['measured_saving_share']:.0%} of the time of the same model with all tokens, one request at a time"
    )


def slug(name: str) -> str:
    """A name as a folder's name."""
    return re.sub(r"[^a-z0-9]+", "-", name.lower()).strip("-")
