"""Students: made from the teacher, distilled once for each fingerprint, and brought to the form that is deployed."""

import json
import sys
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from itertools import chain
from pathlib import Path
from typing import Any

import torch

from millis.data.batches import Rows, model_inputs
from millis.data.dataset import Split
from millis.data.positions import answers
from millis.distillation.blend import Blend
from millis.distillation.contract import Pair, Stage
from millis.distillation.ensemble import ensemble
from millis.distillation.stages import split_epochs
from millis.distillation.teacher_cache import TeacherLogits, longest_first
from millis.errors import MillisError
from millis.models.outputs import each
from millis.models.spec import Spec
from millis.models.tokenizer import AnyTokenizer
from millis.pipeline import keys
from millis.pipeline.initial_student import initial_student, shape, unlabelled
from millis.pipeline.models_on_disk import keep, restore
from millis.pipeline.plan import Plan
from millis.pipeline.recipe import Recipe
from millis.pipeline.run import Run
from millis.pipeline.taught_answers import blend_of, taught, with_further
from millis.pipeline.teacher import Teacher, ensure_teacher, pad_id
from millis.pipeline.tracker import TRIAL, tracked
from millis.pruning.shrink import shrink
from millis.quantization.parameters import forget
from millis.quantization.rounding import convert
from millis.store import cached, locked, write_json
from millis.temporaries import discard
from millis.tracking import Model
from millis.training.adapters import merge
from millis.training.fit import Fit, Fitted, seed_everything
from millis.training.freezing import TrainOnly
from millis.training.module import TextModule
from millis.training.pruning import KeepZeros, PruningCallback
from millis.training.quantization import QuantizationCallback
from millis.training.teaching import teaching
from millis.training.token_pruning import TokenPruningCallback

QUANTIZING_SHARE = 0.3  # of the last stage's epochs, where pruning needs some of its own before it


def plan(run: Run) -> Plan:
    """The student that the recipe asks for."""
    recipe, teacher = run.recipe, run.teacher
    spec, tokenizer = shape(run)
    final = recipe.growing.final_spec(spec) if recipe.growing is not None else spec
    key = teacher.fingerprint
    trains = recipe.student.trains or recipe.student.fits
    if trains or recipe.reshapes:
        key = keys.student(
            teacher.fingerprint, recipe, run.benchmark, learned_blend(recipe, teacher).weight, unlabelled(run)
        )
    return Plan(final or spec, tokenizer, _name(recipe, final or spec), trains, final is not None, key)


def learned_blend(recipe: Recipe, teacher: Teacher) -> Blend:
    """The blend whose answers a student learns from; of weight 0 where it is the teacher alone, or labels alone."""
    return blend_of(recipe, teacher) if recipe.hears_teacher else Blend()


def _name(recipe: Recipe, spec: Spec) -> str:
    return " ".join([recipe.student.describe(spec), *recipe.words])


def ensure_student(run: Run, planned: Plan) -> tuple[Any, Fitted]:
    """The student as it is deployed: trained now, continued, or read where it lies already."""
    teacher = run.teacher
    if not planned.trains:
        return (initial_student(run)[0] if run.recipe.reshapes else teacher.module), teacher.fitted
    weights = weights_path(teacher.inputs.cache, planned.fingerprint)
    history = weights.with_suffix(".json")
    with locked(weights, "this student, which another process trains"):
        if not (history.is_file() and weights.is_file()):
            model, fitted = train_student(run, planned)
            keep(weights, model)
            write_json(history, asdict(fitted))
        discard(checkpoints_of(teacher, planned))  # after the result is there: killed before, a run goes on from them
    with cached(history):
        return restore(weights), Fitted(**json.loads(history.read_text()))


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


def train_student(run: Run, planned: Plan) -> tuple[Any, Fitted]:
    """Train a student whatever lies there already; a killed run is continued from its last epoch.

    Checkpoints are left: they are of use until the student is kept.
    """
    recipe, teacher = run.recipe, run.teacher
    seed_everything(recipe.seed)
    started = time.monotonic()
    model, tokenizer = initial_student(run)
    if recipe.student.fits:
        return model.eval(), _fitted(teacher, model, tokenizer, time.monotonic() - started)
    lesson = Lesson.of(run, tokenizer)
    phases = phases_of(recipe)
    fits = [recipe.trainer] if len(phases) == 1 else _shared_out(recipe.trainer, phases, len(lesson.texts))
    fitted = []
    name = f"{planned.name}-{planned.fingerprint[:6]}"
    with tracked(run.place.tracker, name, TRIAL, run.described) as kept:
        for index, (phase, fit) in enumerate(zip(phases, fits, strict=True)):
            folder = checkpoints_of(teacher, planned) / str(index)
            title = planned.name if len(phases) == 1 else f"{planned.name}, {phase.stage.name}"
            model, done = lesson.train(phase, model, fit, folder=folder, title=title, logger=kept.logger)
            fitted.append(done)
    return model, Fitted.of(fitted)


def _fitted(teacher: Teacher, model: Any, tokenizer: AnyTokenizer, seconds: float) -> Fitted:
    """What there is to say of a student that was fitted without epochs."""
    rows = Rows(teacher.encoded(teacher.inputs.dataset.validation, tokenizer), pad_id(tokenizer))
    batches = [rows.__getitems__(index.tolist()) for index in longest_first(rows.encoded.lengths)]
    with torch.inference_mode():
        pairs = [answers(each(model.eval()(**model_inputs(batch))), batch, model.spec) for batch in batches]
    found, right = (list(chain.from_iterable(column)) for column in zip(*pairs, strict=True))
    quality = teacher.inputs.score(found, right)
    print(f"  fitted in {seconds:.0f} s  validation {quality:.2f}", file=sys.stderr, flush=True)
    return Fitted(quality, 0, seconds, [])


def _shared_out(fit: Fit, phases: "Sequence[Phase]", rows: int) -> list[Fit]:
    """A trainer for each phase, with its share of the epochs."""
    return [fit.with_epochs(count) for count in split_epochs([phase.stage for phase in phases], fit.epochs(rows))]


@dataclass(frozen=True)
class Phase:
    """One training: what is minimised, and which methods change the model meanwhile."""

    stage: Stage
    adapts: bool = False
    prunes: bool = False
    drops_tokens: bool = False
    quantizes: bool = False


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


@dataclass(frozen=True)
class Lesson:
    """What every phase of a student's training shares.

    Args:
        tokenizer: The student's.
        texts: The training split, extra texts included.
    """

    run: Run
    tokenizer: AnyTokenizer
    texts: Split

    @classmethod
    def of(cls, run: Run, tokenizer: AnyTokenizer) -> "Lesson":
        """With texts without labels and those that augmentation makes; the teacher's answers are their labels.

        Raises:
            MillisError: augmentation changes no text.
        """
        recipe, teacher = run.recipe, run.teacher
        further = list(unlabelled(run))
        if recipe.augmentation is not None:
            changed = recipe.augmentation(teacher.inputs.dataset.train.texts, teacher.tokenizer, teacher.word_table)
            if not changed:
                raise MillisError("augmentation changed no text of the training split; choose another, or none")
            further += changed
        return cls(run, tokenizer, with_further(recipe, teacher, further))

    def logits(self) -> TeacherLogits:
        """The teacher's, or those of all teachers of the ensemble as one, on every row."""
        recipe, teacher = self.run.recipe, self.run.teacher
        if not recipe.ensemble:
            return taught(recipe, teacher, self.texts)
        others = {str(seed): self._colleague(seed).logits(self.texts) for seed in recipe.ensemble}
        return ensemble({"teacher": teacher.logits(self.texts), **others}, recipe.distillation.temperature)

    def train(self, phase: Phase, model: Any, fit: Fit, *, folder: Path, title: str, logger: Any) -> tuple[Any, Fitted]:
        """One phase; the model comes back in the form that its methods were for."""
        teacher, recipe, method = self.run.teacher, self.run.recipe, phase.stage.distillation
        dataset = teacher.inputs.dataset
        rows = Rows(teacher.encoded(self.texts, self.tokenizer), pad_id(self.tokenizer))
        teacher_rows = rows
        if self.tokenizer is not teacher.tokenizer:
            teacher_rows = Rows(teacher.encoded(self.texts), teacher.pad_id)
        pair = Pair(model, teacher.module, rows, teacher_rows)
        objective = method.objective(rows.encoded, pair)
        taught = teaching(method, objective, pair, self._features_folder(), self.logits)
        if taught.message:
            print(f"  {taught.message}", flush=True)
        callbacks = [*self._methods(phase, model), *taught.callbacks]
        module = TextModule(model, objective, recipe.optimizer.over(dataset.pairs), teacher.inputs.validation_score)
        fitted = fit(
            module, rows.encoded, teacher.encoded(dataset.validation, self.tokenizer), rows.pad_id,
            folder=folder, seed=recipe.seed, title=title, logger=logger, callbacks=callbacks,
        )  # fmt: skip
        return self._finished(phase, module.model), fitted

    def _methods(self, phase: Phase, model: Any) -> Sequence[Any]:
        recipe = self.run.recipe
        callbacks: list[Any] = []
        if phase.stage.trains:
            callbacks.append(TrainOnly(model, phase.stage.trains))
        if phase.adapts:
            callbacks += recipe.adapter.wrap(model)
        if phase.prunes:
            assert recipe.growing is not None
            callbacks.append(PruningCallback(recipe.growing))
        if phase.drops_tokens:
            assert recipe.tokens is not None
            callbacks.append(TokenPruningCallback(recipe.tokens))
        if phase.quantizes:
            assert recipe.quantization is not None
            if recipe.growing is not None:
                callbacks.append(KeepZeros(model))
            arithmetic = recipe.backend.arithmetic(recipe.quantization)
            callbacks.append(QuantizationCallback(recipe.quantization, arithmetic))
        return callbacks

    def _finished(self, phase: Phase, model: Any) -> Any:
        if phase.adapts:
            model = merge(model)
        if phase.prunes:
            assert self.run.recipe.growing is not None
            model, selection = self.run.recipe.growing.finish(model)
            model = model if selection is None else shrink(model, selection)
        if phase.quantizes:
            model = convert(model)
        if phase.stage.trains:
            forget(model, phase.stage.trains)
        return model.eval()

    def _colleague(self, seed: int) -> Teacher:
        return ensure_teacher(replace(self.run.tuning, seed=seed), self.run.place)

    def _features_folder(self) -> Path:
        teacher = self.run.teacher
        return teacher.inputs.cache / "teacher_features" / keys.answers(teacher.fingerprint, self.texts.texts)
