"""Elastic weights: trained once for each fingerprint, then every student of them is cut out of what is kept."""

from pathlib import Path
from typing import Any

import numpy as np

from millis.elastic.order import by_importance, reordered
from millis.elastic.recipe import Elastic
from millis.pipeline import keys
from millis.pipeline.lesson import Lesson, Phase, training_batches
from millis.pipeline.run import Run
from millis.pipeline.taught_answers import learned_blend, unlabelled
from millis.pipeline.tracker import ELASTIC, tracked
from millis.pipeline.trained_once import model_once, training_of
from millis.pruning.shrink import shrink
from millis.training.fit import Fitted, seed_everything


def elastic_key(run: Run) -> str:
    """The fingerprint of the elastic weights that the recipe's student is cut out of."""
    recipe, teacher = run.recipe, run.teacher
    blend = learned_blend(recipe, teacher).weight
    return keys.elastic(teacher.fingerprint, recipe, blend, unlabelled(recipe, teacher))


def ensure_elastic(run: Run) -> Any:
    """The elastic weights at their largest: trained now, continued from their last epoch, or read where they lie."""
    path = elastic_path(run)
    return model_once(
        path, "these elastic weights, which another process trains", _checkpoints(path), lambda: _trained(run, path)
    )[0]


def elastic_training(run: Run) -> Fitted:
    """How the training of the elastic weights went, which lie trained."""
    return training_of(elastic_path(run))


def elastic_path(run: Run) -> Path:
    """Where they are kept."""
    return run.teacher.inputs.cache / "elastic" / f"{elastic_key(run)}.safetensors"


def _checkpoints(path: Path) -> Path:
    return path.with_suffix(".checkpoints")


def _trained(run: Run, path: Path) -> tuple[Any, Fitted]:
    recipe, teacher, elastic = run.recipe, run.teacher, run.recipe.elastic
    assert elastic is not None, "a student is cut out of them"
    seed_everything(recipe.seed)
    whole: Any = teacher.manifest.spec
    stages = elastic.stages(recipe.distillation.stages(), whole, recipe.seed)
    lesson, title = Lesson.of(run, teacher.tokenizer), f"elastic ({elastic.describe(whole)})"
    with tracked(run.place.tracker, f"elastic-{path.stem[:6]}", ELASTIC, run.described) as kept:
        model, fitted = lesson.through(
            [Phase(stage) for stage in stages], largest(run, elastic), recipe.trainer,
            folder=_checkpoints(path), title=title, logger=kept.logger,
        )  # fmt: skip
    return model, fitted


def largest(run: Run, elastic: Elastic) -> Any:
    """The largest student before training: the teacher with its parts in order of importance, cut."""
    teacher: Any = run.teacher.module
    every = np.random.default_rng(run.recipe.seed).permutation(len(run.teacher.inputs.dataset.train))
    batches = training_batches(run, run.teacher.tokenizer, every[: elastic.samples].tolist())
    order = by_importance(teacher, batches)
    return shrink(reordered(teacher, order), elastic.axes(teacher.spec).largest.selection(teacher.spec))
