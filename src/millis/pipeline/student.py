"""Students: made from the teacher, distilled once for each fingerprint, and brought to the form that is deployed."""

import sys
import time
from dataclasses import replace
from itertools import chain
from operator import itemgetter
from pathlib import Path
from typing import Any

import torch

from millis.data.batches import Rows
from millis.data.positions import answers, asked_inputs
from millis.distillation.teacher_cache import longest_first
from millis.models.outputs import each
from millis.models.spec import Spec
from millis.models.tokenizer import AnyTokenizer, pad_id
from millis.pipeline import keys
from millis.pipeline.general import general_key
from millis.pipeline.initial_student import initial_student, shape, student_spec
from millis.pipeline.lesson import Lesson, Phase
from millis.pipeline.plan import Plan
from millis.pipeline.recipe import Recipe
from millis.pipeline.run import Run
from millis.pipeline.taught_answers import learned_blend, unlabelled
from millis.pipeline.teacher import Teacher
from millis.pipeline.tracker import TRIAL, tracked
from millis.pipeline.trained_once import model_once
from millis.tracking import Model
from millis.training.fit import Fitted, seed_everything
from millis.training.module import VALIDATION, Score
from millis.training.rungs import Judge

QUANTIZING_SHARE = 0.3  # of the last stage's epochs, where pruning needs some of its own before it


def plan(run: Run) -> Plan:
    """The student that the recipe asks for."""
    recipe, teacher = run.recipe, run.teacher
    spec, tokenizer = shape(run)
    final = recipe.growing.final_spec(spec) if recipe.growing is not None else spec
    key = teacher.fingerprint
    trains = recipe.student.trains or recipe.student.fits or recipe.elastic is not None
    if trains or recipe.reshapes:
        key = keys.student(
            teacher.fingerprint,
            recipe,
            run.benchmark,
            learned_blend(recipe, teacher).weight,
            unlabelled(recipe, teacher),
            None if recipe.general is None else general_key(run, student_spec(teacher, recipe.student)[0]),
        )
    return Plan(final or spec, tokenizer, _name(recipe, final or spec), trains, final is not None, key)


def _name(recipe: Recipe, spec: Spec) -> str:
    return " ".join([recipe.student.describe(spec), *recipe.words])


def ensure_student(run: Run, planned: Plan, judge: Judge | None = None) -> tuple[Any, Fitted]:
    """The student as it is deployed: trained now, continued, or read where it lies already.

    Args:
        judge: Whom every rung of its training is asked of.

    Raises:
        Stopped: the judge ended it.
    """
    teacher = run.teacher
    if not planned.trains:
        return (initial_student(run)[0] if run.recipe.reshapes else teacher.module), teacher.fitted
    return model_once(
        weights_path(teacher.inputs.cache, planned.fingerprint), "this student, which another process trains",
        checkpoints_of(teacher, planned), lambda: train_student(run, planned, judge),
    )  # fmt: skip


def weights_path(cache: Path, key: str) -> Path:
    """Where a trained student is kept."""
    return cache / "student" / f"{key}.safetensors"


def tracked_model(cache: Path, key: str) -> Model | None:
    """A student as tracked runs name it; None where there is none, for the teacher's own weights are deployed."""
    path = weights_path(cache, key)
    return Model("student", f"student-{key[:12]}", path) if path.is_file() else None


def settled(run: Run, planned: Plan) -> Plan:
    """`planned` with the architecture that training left, where only training could tell."""
    if planned.settled:
        return planned
    spec = ensure_student(run, planned)[0].spec
    return replace(planned, spec=spec, name=_name(run.recipe, spec), settled=True)


def checkpoints_of(teacher: Teacher, planned: Plan) -> Path:
    """Where a student's training leaves what it can be continued from: a folder for each phase."""
    return teacher.inputs.cache / "student" / f"{planned.fingerprint}.checkpoints"


def train_student(run: Run, planned: Plan, judge: Judge | None = None) -> tuple[Any, Fitted]:
    """Train a student whatever lies there already; a killed run is continued from its last epoch.

    Checkpoints are left: they are of use until the student is kept.
    """
    recipe, teacher = run.recipe, run.teacher
    seed_everything(recipe.seed)
    started = time.monotonic()
    model, tokenizer = initial_student(run)
    if recipe.student.fits:
        return model.eval(), _fitted(teacher, model, tokenizer, time.monotonic() - started)
    start = [] if recipe.elastic is None else [_as_cut(planned, teacher, model, tokenizer)]
    if not recipe.student.trains:
        return model.eval(), start[0]
    lesson, name = Lesson.of(run, tokenizer), f"{planned.name}-{planned.fingerprint[:6]}"
    with tracked(run.place.tracker, name, TRIAL, run.described) as kept:
        model, fitted = lesson.through(
            phases_of(recipe), model, recipe.own_trainer,
            folder=checkpoints_of(teacher, planned), title=planned.name, logger=kept.logger, judge=judge,
        )  # fmt: skip
    return model, Fitted.of([*start, fitted])


def _as_cut(planned: Plan, teacher: Teacher, model: Any, tokenizer: AnyTokenizer) -> Fitted:
    """A student as it is cut out of elastic weights: epoch 0 of its own training."""
    quality = quality_of(teacher, model, tokenizer, teacher.inputs.validation_score)
    print(f"  {planned.name}  as cut out  validation {quality:.2f}", file=sys.stderr, flush=True)
    return Fitted(quality, 0, 0.0, [{"epoch": 0, "seconds": 0.0, VALIDATION: quality}])


def _fitted(teacher: Teacher, model: Any, tokenizer: AnyTokenizer, seconds: float) -> Fitted:
    """What there is to say of a student that was fitted without epochs."""
    quality = quality_of(teacher, model, tokenizer, teacher.inputs.score)
    print(f"  fitted in {seconds:.0f} s  validation {quality:.2f}", file=sys.stderr, flush=True)
    return Fitted(quality, 0, seconds, [])


@torch.inference_mode()
def quality_of(teacher: Teacher, model: Any, tokenizer: AnyTokenizer, score: Score) -> float:
    """Of a model's answers to the validation split."""
    rows = Rows(teacher.encoded(teacher.inputs.dataset.validation, tokenizer), pad_id(tokenizer))
    batches = [rows.__getitems__(index.tolist()) for index in longest_first(rows.encoded.lengths)]
    model.eval()
    parts = [
        (batch["rows"].tolist(), *answers(each(model(**asked_inputs(batch, model.spec))), batch, model.spec))
        for batch in batches
    ]
    ordered = sorted(chain.from_iterable(zip(*part, strict=True) for part in parts), key=itemgetter(0))
    return score([answer for _, answer, _ in ordered], [right for *_, right in ordered])


def phases_of(recipe: Recipe) -> list[Phase]:
    """The recipe's stages; methods act in the last that trains the whole model, one after the other where pruning and
    rounding meet."""
    *before, last = [stage for stage in recipe.stages if stage.trains is None]
    phases, after = [Phase(stage) for stage in before], [Phase(stage) for stage in recipe.stages if stage.trains]
    prunes, drops = recipe.growing is not None, recipe.tokens is not None
    if not ((prunes or drops) and recipe.aware):
        return [*phases, Phase(last, recipe.adapter is not None, prunes, drops, recipe.aware), *after]
    share, changing = last.share * QUANTIZING_SHARE, "pruning" if prunes else "tokens"
    return [
        *phases,
        Phase(last._replace(name=changing, share=last.share - share), prunes=prunes, drops_tokens=drops),
        Phase(last._replace(name="quantization", share=share), quantizes=True),
        *after,
    ]
