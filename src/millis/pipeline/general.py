"""Students that learned the pre-trained model before the task: once for each fingerprint, then read by every task."""

from pathlib import Path
from typing import Any

from millis import models
from millis.data.batches import Rows
from millis.data.encode import encode
from millis.data.overlaps import words_of
from millis.distillation.contract import Pair
from millis.errors import MillisError
from millis.models.spec import Spec
from millis.pipeline import keys
from millis.pipeline.inputs import Inputs
from millis.pipeline.run import Run
from millis.pipeline.tracker import GENERAL, tracked
from millis.pipeline.trained_once import model_once, training_of
from millis.training.fit import Fitted, seed_everything
from millis.training.general import General, Inside, Reading, Texts, unasked
from millis.training.module import TextModule
from millis.training.teaching import teaching
from millis.types import parts_of


def general_key(run: Run, spec: Spec) -> str:
    """The fingerprint of the encoder that a student of architecture `spec` begins with."""
    recipe, teacher = run.recipe, run.teacher
    read = _texts(recipe.general, teacher.inputs)
    return keys.general(run.tuning.model, recipe, spec, read.fingerprint, teacher.manifest.max_length)


def ensure_general(run: Run, spec: Spec) -> Any:
    """A student of architecture `spec` that has learned what the pre-trained model has inside.

    Raises:
        MillisError: a model that is not pre-trained or has another vocabulary than the teacher, or no texts.
    """
    path = _path(run, spec)
    checkpoints = path.with_suffix(".checkpoints")
    return model_once(
        path, "this general distillation, which another process carries out", checkpoints,
        lambda: _trained(run, spec, path, checkpoints),
    )[0]  # fmt: skip


def general_training(run: Run, spec: Spec) -> Fitted:
    """How the general distillation went whose student lies there."""
    return training_of(_path(run, spec))


def general_note(run: Run, spec: Spec) -> str:
    """What a reader of a record should know of it."""
    texts, without, _ = _texts(run.recipe.general, run.teacher.inputs)
    seconds = general_training(run, spec).seconds
    return (
        f"learned the pre-trained model's states on {len(texts):,} texts{without} before the task, in {seconds:.0f} s"
    )


def general_texts(general: General, inputs: Inputs) -> int:
    """How many texts are read."""
    return len(_texts(general, inputs).texts)


def _path(run: Run, spec: Spec) -> Path:
    return run.teacher.inputs.cache / "general" / f"{general_key(run, spec)}.safetensors"


def _trained(run: Run, spec: Spec, path: Path, checkpoints: Path) -> tuple[Any, Fitted]:
    recipe, teacher, inputs = run.recipe, run.teacher, run.teacher.inputs
    texts, without, _ = _texts(recipe.general, inputs)
    print(f"  general distillation on {len(texts):,} texts{without}", flush=True)
    seed_everything(recipe.seed)
    whole = _pretrained(run)
    model = models.build(spec)
    recipe.student.initialise(model, whole)
    read = encode(unasked(texts), teacher.tokenizer, teacher.manifest.max_length, inputs.cache / "tokens", Reading())
    rows = Rows(read, teacher.pad_id)
    pair = Pair(Inside(model), Inside(whole.eval()), rows, rows)
    method = recipe.general.method
    objective = method.objective(read, pair)
    folder = inputs.cache / "general_features" / path.stem
    taught = teaching(method, objective, pair, folder, _unheard)
    module = TextModule(pair.student, objective, recipe.general.optimizer, inputs.validation_score)
    title = f"general {recipe.student.describe(spec)}"
    with tracked(run.place.tracker, f"general-{path.stem[:6]}", GENERAL, run.described) as kept:
        fitted = recipe.general.fit(recipe.trainer)(
            module, read, read, teacher.pad_id, folder=checkpoints, seed=recipe.seed, title=title,
            logger=kept.logger, callbacks=taught.callbacks,
        )  # fmt: skip
    return model, fitted


def _pretrained(run: Run) -> Any:
    """The model that the teacher was fine-tuned from."""
    dataset, task = run.teacher.inputs.dataset, run.teacher.inputs.task
    whole, tokenizer = run.tuning.model(task.outputs, dataset.train.texts, dataset.labels)
    if tokenizer.to_str() != run.teacher.tokenizer.to_str():
        raise MillisError(
            "general distillation: the pre-trained model has another vocabulary today than when the teacher was made "
            "of it. Train the teacher again, or choose general=none"
        )
    return whole


def check_general(model: Any, general: General | None) -> None:
    """Refuse to distil a model that has learned nothing yet, or on nothing.

    Args:
        model: The source of the teacher.

    Raises:
        MillisError: it makes its weights at random, or there are no files of texts.
    """
    if general is None:
        return
    general.check()
    if getattr(model, "fresh", False):
        raise MillisError(
            "general distillation learns what a pre-trained model knows, and this model begins with random weights: "
            "choose a pre-trained one, such as model=minilm_l6, or general=none"
        )


def _texts(general: General, inputs: Inputs) -> Texts:
    """What is read: what is judged must not be learned."""
    splits = (inputs.dataset.validation, inputs.dataset.test)
    parts = (part for split in splits for text in split.texts for part in parts_of(text))
    return general.read(frozenset(map(words_of, parts)))


def _unheard() -> Any:
    raise AssertionError("features alone are compared")
