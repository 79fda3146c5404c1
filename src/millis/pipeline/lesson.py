"""A lesson: the texts, and the teacher's answers to them, that every phase of a student's training shares."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from millis.data.batches import Batch, Rows
from millis.data.dataset import Split
from millis.distillation.contract import Pair, Stage
from millis.distillation.ensemble import ensemble
from millis.distillation.stages import split_epochs
from millis.distillation.teacher_cache import TeacherLogits
from millis.errors import MillisError
from millis.models.tokenizer import AnyTokenizer, pad_id
from millis.pipeline import keys
from millis.pipeline.run import Run
from millis.pipeline.taught_answers import taught, unlabelled, with_further
from millis.pipeline.teacher import Teacher, ensure_teacher
from millis.pruning.shrink import shrink
from millis.quantization.parameters import forget
from millis.quantization.rounding import convert
from millis.training.adapters import merge
from millis.training.fit import Fit, Fitted
from millis.training.freezing import TrainOnly
from millis.training.module import TextModule
from millis.training.pruning import KeepZeros, PruningCallback
from millis.training.quantization import QuantizationCallback
from millis.training.rungs import Judge, Rungs
from millis.training.teaching import teaching
from millis.training.token_pruning import TokenPruningCallback

BATCH = 32  # texts whose gradients are taken together


@dataclass(frozen=True)
class Phase:
    """One training: what is minimised, and which methods change the model meanwhile."""

    stage: Stage
    adapts: bool = False
    prunes: bool = False
    drops_tokens: bool = False
    quantizes: bool = False


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
        further = list(unlabelled(recipe, teacher))
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

    def train(
        self, phase: Phase, model: Any, fit: Fit, *, folder: Path, title: str, logger: Any, judged: Rungs | None = None
    ) -> tuple[Any, Fitted]:
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
        callbacks = [*self._methods(phase, model), *taught.callbacks, *([] if judged is None else [judged])]
        module = TextModule(model, objective, recipe.optimizer.over(dataset.pairs), teacher.inputs.validation_score)
        fitted = fit(
            module, rows.encoded, teacher.encoded(dataset.validation, self.tokenizer), rows.pad_id,
            folder=folder, seed=recipe.seed, title=title, logger=logger, callbacks=callbacks,
        )  # fmt: skip
        return self._finished(phase, module.model), fitted

    def through(
        self,
        phases: Sequence[Phase],
        model: Any,
        fit: Fit,
        *,
        folder: Path,
        title: str,
        logger: Any,
        judge: Judge | None = None,
    ) -> tuple[Any, Fitted]:
        """All phases, each with its share of the epochs and a folder of its own for checkpoints.

        Args:
            judge: Whom every rung is asked of.

        Raises:
            Stopped: the judge ended it.
        """
        fits = [fit] if len(phases) == 1 else _shared_out(fit, phases, len(self.texts))
        epochs, fitted = [one.epochs(len(self.texts)) for one in fits], list[Fitted]()
        for index, (phase, own) in enumerate(zip(phases, fits, strict=True)):
            last = index == len(phases) - 1
            called = title if len(phases) == 1 else f"{title}, {phase.stage.name}"
            model, done = self.train(
                phase, model, own, folder=folder / str(index), title=called, logger=logger,
                judged=None if judge is None else Rungs(judge, sum(epochs), sum(epochs[:index]), last),
            )  # fmt: skip
            fitted.append(done)
        return model, Fitted.of(fitted)

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
        if recipe.sparse is not None:
            callbacks.append(KeepZeros(model))
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
        asked = [*self.texts.texts, *map(repr, self.texts.references)]
        return teacher.inputs.cache / "teacher_features" / keys.answers(teacher.fingerprint, asked)


def _shared_out(fit: Fit, phases: Sequence[Phase], rows: int) -> list[Fit]:
    """A trainer for each phase, with its share of the epochs."""
    return [fit.with_epochs(count) for count in split_epochs([phase.stage for phase in phases], fit.epochs(rows))]


def training_batches(run: Run, tokenizer: AnyTokenizer, rows: list[int] | None = None) -> Iterator[Batch]:
    """Labelled training texts under `tokenizer`: those at `rows`, or all, in a seeded order."""
    data = Rows(run.teacher.encoded(run.teacher.inputs.dataset.train, tokenizer), pad_id(tokenizer))
    order = np.random.default_rng(run.recipe.seed).permutation(len(data) if rows is None else rows).tolist()
    for begin in range(0, len(order), BATCH):
        yield data.__getitems__(order[begin : begin + BATCH])
