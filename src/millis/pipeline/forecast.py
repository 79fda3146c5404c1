"""What a sweep will try and what fits in its time, said before it starts."""

from collections.abc import Mapping
from typing import Any

from millis.pipeline.study import Study
from millis.pipeline.teacher import Teacher
from millis.sweep.space import Space
from millis.training.fit import Fit


def forecast(study: Study, trainer: Fit, teacher: Teacher, space: Space) -> str:
    """The recipes that come first and fit, with the seconds that their trainings should take, and what follows.

    Args:
        trainer: Of the students.
    """
    recipes = [recipe for recipe in study.enqueue if space.admits(recipe)]
    epoch_s = teacher.fitted.seconds / max(1, teacher.fitted.epochs)
    layers = 0 if (shape := teacher.manifest.spec.shape) is None else len(shape.heads)
    epochs = trainer.epochs(len(teacher.inputs.dataset.train))
    spent, lines = 0.0, []
    for number, recipe in enumerate(recipes[: study.n_trials]):
        always = number < study.minimum
        if not always and study.timeout_s is not None and spent >= study.timeout_s:
            break
        seconds = _seconds(recipe, epoch_s * epochs, layers)
        spent += seconds
        took = f", about {seconds:.0f} s" if seconds >= 1 else ""
        lines.append(f"  {_words(recipe)}{took}{' (always)' if always else ''}")
    limit = "" if study.timeout_s is None else f" while their trainings have taken less than {study.timeout_s:g} s"
    rest = study.n_trials - len(lines)
    after = [f"  then up to {rest} more{limit}"] if rest > 0 else []
    return "\n".join(["plan:", *lines, *after])


def _seconds(recipe: Mapping[str, Any], whole_s: float, layers: int) -> float:
    """Of a cut transformer, by its share of the teacher's layers; students of other families take seconds."""
    kept = recipe.get("student.layers")
    if recipe.get("student") != "transformer" or not layers or not isinstance(kept, int):
        return 0.0
    return whole_s * min(1.0, kept / layers)


def _words(recipe: Mapping[str, Any]) -> str:
    """`transformer layers=2 quantization=dynamic`: what tells recipes apart at sight, without shares of 1.0."""
    shown = {key: value for key, value in recipe.items() if not key.startswith("distillation.")}
    shown = {key: value for key, value in shown.items() if not (isinstance(value, float) and value == 1)}
    name = shown.pop("student", "")
    return " ".join([str(name), *(f"{key.rsplit('.', 1)[-1]}={value}" for key, value in shown.items())]).strip()
