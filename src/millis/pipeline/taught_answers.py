"""The answers that students learn from: the teacher's, or those of the teacher and a linear model together."""

import json
import sys
from collections.abc import Sequence
from dataclasses import asdict, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from millis.data.dataset import Split
from millis.data.encode import encodings
from millis.distillation.blend import Blend, best_blend, blended
from millis.distillation.teacher_cache import TeacherLogits
from millis.errors import MillisError
from millis.models.ngram_student import Bags, LinearBaseline, cross_fitted
from millis.models.outputs import LOGITS, is_one_text
from millis.models.tokenizer import AnyTokenizer
from millis.pipeline import keys
from millis.pipeline.recipe import Recipe
from millis.pipeline.teacher import Teacher
from millis.pipeline.written_answers import written
from millis.store import atomic_file, cached, locked, write_json
from millis.types import Text

FOLDS = 5


def blend_of(recipe: Recipe, teacher: Teacher) -> Blend:
    """How a teacher and the linear model are averaged where `recipe` asks for it; found once a teacher.

    A linear model of n-grams answers a text as a whole, so only a teacher that does so too is averaged with it.
    """
    if not is_blended(recipe, teacher):
        return Blend()
    path = blend_path(teacher)
    with locked(path, "the blend of teacher and linear model, which another process finds"):
        if not path.is_file():
            write_json(path, asdict(_found(teacher)))
    with cached(path):
        return Blend(**json.loads(path.read_text(encoding="utf-8")))


def is_blended(recipe: Recipe, teacher: Teacher) -> bool:
    """Whether a blend is looked for."""
    return recipe.blend and not recipe.ensemble and is_one_text(teacher.inputs.task.outputs)


def blend_path(teacher: Teacher) -> Path:
    """Where the blend of a teacher and the linear model is kept."""
    return teacher.inputs.cache / "blend" / f"{keys.blend(teacher.fingerprint)}.json"


def taught(recipe: Recipe, teacher: Teacher, texts: Split) -> TeacherLogits:
    """What a student learns from: logits on the training rows, and on extra texts after them."""
    own, blend = teacher.logits(texts), blend_of(recipe, teacher)
    if not blend.weight:
        return own
    return replace(own, logits=(blended(own.logits[0], _linear(teacher, texts), blend.weight),))


def with_further(recipe: Recipe, teacher: Teacher, further: Sequence[Text]) -> Split:
    """The training rows, and texts without references after them: what a student learns from answers those."""
    texts = teacher.inputs.dataset.train
    if not further:
        return texts
    if teacher.inputs.task.judged_as_written:
        return _with_written(recipe, teacher, further)
    kind = teacher.inputs.task.references
    every = Split([*texts.texts, *further], [*texts.references, *map(kind.unanswered, further)])
    said = taught(recipe, teacher, every).categories[len(texts) :]
    encoded = encodings(further, teacher.tokenizer, teacher.manifest.max_length, kind.reads_offsets)
    return Split(every.texts, [*texts.references, *map(kind.answered, further, said, encoded)])


def _with_written(recipe: Recipe, teacher: Teacher, further: Sequence[Text]) -> Split:
    """As `with_further`, where answers are written; texts whose answer has no end in time are left out.

    Raises:
        MillisError: none has.
    """
    assert recipe.generation is not None  # `Recipe.check` saw to it
    most = recipe.generation.max_tokens
    said = written(teacher, further, most)
    pairs = [(text, answer) for text, answer in zip(further, said, strict=True) if answer is not None]
    if not pairs:
        raise MillisError(
            f"the teacher ended none of {len(further)} answers within {most} tokens, so there is nothing to learn from "
            "them. Train it longer, or raise generation.max_tokens"
        )
    if len(pairs) < len(further):
        left = len(further) - len(pairs)
        print(f"  {left:,} answers had no end within {most} tokens: left out", file=sys.stderr, flush=True)
    texts = teacher.inputs.dataset.train
    more, answers = zip(*pairs, strict=True)
    return Split([*texts.texts, *more], [*texts.references, *answers])


def unlabelled(recipe: Recipe, teacher: Teacher) -> list[Text]:
    """Further texts that a student learns from: none where it does not learn the teacher's answers."""
    return teacher.inputs.dataset.unlabelled if recipe.hears_teacher else []


def learned_blend(recipe: Recipe, teacher: Teacher) -> Blend:
    """The blend whose answers a student learns from; of weight 0 where it is the teacher alone, or labels alone."""
    return blend_of(recipe, teacher) if recipe.hears_teacher else Blend()


def _found(teacher: Teacher) -> Blend:
    dataset = teacher.inputs.dataset
    student = LinearBaseline()
    tokenizer = student.tokenizer(dataset.train.texts)
    train, validation = (bags(teacher, split, tokenizer) for split in (dataset.train, dataset.validation))
    linear = student.scores(train, validation, (validation,), len(dataset.labels), tokenizer.get_vocab_size())[0]
    return best_blend(teacher.logits(dataset.validation).logits[0], linear, validation.labels, teacher.inputs.score)


def _linear(teacher: Teacher, texts: Split) -> NDArray[np.float32]:
    """The linear model's logits on the training rows, each fitted without the row, and on texts after them."""
    dataset = teacher.inputs.dataset
    path = teacher.inputs.cache / "linear_logits" / f"{keys.linear(teacher.fingerprint, texts.texts)}.npy"
    with locked(path, "the linear model's answers, which another process makes"):
        if not path.is_file():
            student, rows = LinearBaseline(), len(dataset.train)
            tokenizer = student.tokenizer(dataset.train.texts)
            train, validation = (bags(teacher, split, tokenizer) for split in (dataset.train, dataset.validation))
            sizes = len(dataset.labels), tokenizer.get_vocab_size()
            parts = [cross_fitted(student, train, validation, *sizes, FOLDS)]
            if len(texts) > rows:
                extra = Split(texts.texts[rows:], texts.references[rows:])
                parts += student.scores(train, validation, (bags(teacher, extra, tokenizer),), *sizes)
            with atomic_file(path) as temporary, temporary.open("wb") as file:
                np.save(file, np.concatenate(parts))
    with cached(path):
        found: NDArray[np.float32] = np.load(path, allow_pickle=False)
    return found


def bags(teacher: Teacher, split: Split, tokenizer: AnyTokenizer) -> Bags:
    """A split as a linear model takes it."""
    encoded = teacher.encoded(split, tokenizer)
    return Bags(encoded.ids, encoded.offsets, encoded.targets[LOGITS])
