"""What a sweep does in its time, settled and said before it starts.

Seconds are foretold from the teacher's own training: an epoch of a student takes as much less time as its blocks have
fewer weights, and an epoch of elastic weights as long as those of the students that are run in a step, together. Where
one of the two has no such blocks, what their epochs cost is compared (`millis.models.epoch_cost`).
"""

from collections.abc import Mapping, Sequence
from contextlib import suppress
from typing import Any, cast

import numpy as np

from millis.described import described
from millis.elastic.recipe import Elastic
from millis.elastic.setting import Axes, Setting
from millis.errors import MillisError
from millis.models import anatomy, epoch_cost
from millis.models.spec import Spec
from millis.models.transformer_spec import TransformerSpec
from millis.pipeline import keys
from millis.pipeline.general import general_texts
from millis.pipeline.recipe import Recipe
from millis.pipeline.study import Study
from millis.pipeline.teacher import Teacher
from millis.sweep.listener import Agenda

FORWARD = 1 / 3  # of a training step: what the pre-trained model takes to say what it has inside
DRAWS = 64  # of a policy: enough for the mean of what it draws

Tried = tuple[Mapping[str, Any], Recipe | None]
"""What a trial sets, and the recipe that it makes; None where it makes none."""


def planned(
    study: Study, teacher: Teacher, recipes: Sequence[Tried], begun: int = 0, before: Sequence[Recipe | None] = ()
) -> tuple[Agenda, str]:
    """What the study's time is enough for, and the same in words, a line each.

    The first `study.minimum` recipes are taken whatever they take, of the others those that still fit, in their order;
    as many are drawn after them as fit if they take as long on average, or are all ended at the first rung.

    Args:
        recipes: Those that come first.
        begun: Trials of the study that were begun before, which count.
        before: Recipes of such.
    """
    trained: set[str] = set().union(*(_shared(one, teacher) for one in before if one is not None))
    most = max(0, study.n_trials - begun)
    taken: list[tuple[Mapping[str, Any], float]] = []
    left: list[tuple[Mapping[str, Any], float]] = []
    limit = float("inf") if study.timeout_s is None else study.timeout_s
    for number, (params, recipe) in enumerate(recipes[:most], begun):
        seconds = _foretold(recipe, teacher, trained)
        fits = number < study.minimum or not seconds or sum(spent for _, spent in taken) + seconds <= limit
        (taken if fits else left).append((params, seconds))
        if fits and recipe is not None:
            trained |= _shared(recipe, teacher)
    rest, spent = most - len(taken), sum(seconds for _, seconds in taken)
    average = (spent + sum(seconds for _, seconds in left)) / max(1, len(taken) + len(left))
    least = average if study.rungs is None else average * study.rungs.shares[0]
    drawn = rest if limit == float("inf") or not least else min(rest, max(0, int((limit - spent) / least)))
    lines = [f"  {_words(params)}{_about(s)}{_always(n, study)}" for n, (params, s) in enumerate(taken, begun)]
    if left:
        lines.append(f"  left out of study.timeout_s={limit:g}: {', '.join(_words(p) + _about(s) for p, s in left)}")
    if drawn:
        within = "" if limit == float("inf") else f" within study.timeout_s={limit:g}"
        each = f"{_about(average)} each" if _about(average) else ""
        if study.rungs is None:
            lines.append(f"  then {drawn} that are drawn{each}{within}")
        else:
            lines.append(f"  then up to {drawn} that are drawn{within}{each}, less where a rung ends them")
    agenda = Agenda([params for params, _ in taken], begun + len(taken) + drawn)
    after = f", after {begun} trials" if begun else ""
    return agenda, "\n".join([f"plan{after}: trainings of{_about(spent).replace(',', '') or ' seconds'}", *lines])


def _foretold(recipe: Recipe | None, teacher: Teacher, trained: set[str]) -> float:
    """`training_s`; nothing for what cannot be made of this teacher, as the trial itself says."""
    with suppress(MillisError):
        return 0.0 if recipe is None else training_s(recipe, teacher, trained)
    return 0.0


def training_s(recipe: Recipe, teacher: Teacher, trained: set[str]) -> float:
    """Seconds that the trainings of a recipe should take.

    Args:
        trained: Keys of what students share that will lie trained by then: elastic weights, general students.

    Raises:
        MillisError: a student that cannot be made of the teacher.
    """
    whole = teacher.manifest.spec
    epoch_s = teacher.fitted.seconds / max(1, teacher.fitted.epochs)
    rows, seconds = len(teacher.inputs.dataset.train), 0.0
    spec = recipe.student.spec(whole)
    if recipe.student.fits:
        return epoch_s * _fit_share(recipe, teacher, spec)
    if recipe.student.trains:
        seconds += recipe.own_trainer.epochs(rows) * epoch_s * _epoch_share(recipe, teacher, spec)
    if recipe.general is not None and spec.shape is not None and _general_key(recipe, spec) not in trained:
        read = general_texts(recipe.general, teacher.inputs)
        epochs = recipe.general.fit(recipe.trainer).epochs(read)
        seconds += epochs * epoch_s * read / rows * (_weights(spec) / _weights(whole) + FORWARD)
    if (elastic := recipe.elastic) is not None and _elastic_key(recipe, teacher) not in trained:
        step = _step(elastic, elastic.axes(cast(TransformerSpec, whole))) / _weights(whole)
        found = recipe.trainer.epochs(rows) * epoch_s * step
        seconds += min(found, recipe.trainer.budget_s or found)
    return seconds


def _epoch_share(recipe: Recipe, teacher: Teacher, spec: Spec) -> float:
    """What an epoch of a student takes of the teacher's."""
    whole = teacher.manifest.spec
    if spec.shape is not None and whole.shape is not None:
        return _weights(spec) / _weights(whole)
    own = epoch_cost.epoch(spec, *_read(recipe, teacher), frozen=recipe.optimizer.freeze_embeddings)
    return own / _teachers_epoch(recipe, teacher)


def _fit_share(recipe: Recipe, teacher: Teacher, spec: Spec) -> float:
    """What a student that is fitted at once takes of an epoch of the teacher's."""
    [output] = spec.outputs
    return epoch_cost.fit(teacher.inputs.dataset.train.texts, output.width) / _teachers_epoch(recipe, teacher)


def _teachers_epoch(recipe: Recipe, teacher: Teacher) -> float:
    return epoch_cost.epoch(teacher.manifest.spec, *_read(recipe, teacher), frozen=True)


def _read(recipe: Recipe, teacher: Teacher) -> tuple[int, int]:
    """Tokens and steps of an epoch; the teacher's batches are taken to be as large as the student's."""
    train = teacher.inputs.dataset.train
    return int(teacher.encoded(train).offsets[-1]), epoch_cost.steps(len(train), recipe.trainer.batch_size)


def _step(elastic: Elastic, axes: Axes) -> float:
    """Weights of the blocks that are run in a step of elastic weights."""
    drawn = elastic.policy.draw(axes, DRAWS, np.random.default_rng(0))
    between = elastic.sampled * sum(map(axes.work, drawn)) / DRAWS
    return axes.work(axes.largest) + axes.work(axes.smallest) + between


def _weights(spec: Spec) -> int:
    """Of the blocks, as `Axes.work` counts them."""
    blocks = cast(TransformerSpec, spec)
    shape, hidden = blocks.known_shape, anatomy.hidden_size(blocks)
    layers = zip(shape.heads, shape.ffn, strict=True)
    return sum(Axes((), (), (), (), shape.head_size).work(Setting(1, hidden, heads, ffn)) for heads, ffn in layers)


def _elastic_key(recipe: Recipe, teacher: Teacher) -> str:
    """What tells elastic weights of one teacher apart."""
    return keys.elastic(teacher.fingerprint, recipe, 0.0, [])


def _general_key(recipe: Recipe, spec: Spec) -> str:
    """What tells general students of one teacher apart."""
    return repr((described(recipe.general), spec.to_json()))


def _shared(recipe: Recipe, teacher: Teacher) -> set[str]:
    """Keys of what a recipe trains for others as well; none of what cannot be made of this teacher."""
    if recipe.elastic is not None:
        return {_elastic_key(recipe, teacher)}
    with suppress(MillisError):
        return set() if recipe.general is None else {_general_key(recipe, recipe.student.spec(teacher.manifest.spec))}
    return set()


def _about(seconds: float) -> str:
    return f", about {seconds:.0f} s" if seconds >= 1 else ""


def _always(number: int, study: Study) -> str:
    return " (always)" if number < study.minimum else ""


def _words(recipe: Mapping[str, Any]) -> str:
    """`transformer layers=2 quantization=dynamic`: what tells recipes apart at sight, without shares of 1.0."""
    shown = {key: value for key, value in recipe.items() if not key.startswith("distillation.")}
    shown = {key: value for key, value in shown.items() if not (isinstance(value, float) and value == 1)}
    name = shown.pop("student", "")
    return " ".join([str(name), *(f"{key.rsplit('.', 1)[-1]}={value}" for key, value in shown.items())]).strip()
