"""The texts that a student learns from, and whose answers stand beside them."""

from dataclasses import replace

import pytest

from millis.errors import MillisError
from millis.pipeline.lesson import Lesson


def test_augmentation_that_changes_nothing_is_refused(asked, teacher):
    run = asked()
    run = run.with_recipe(replace(run.recipe, augmentation=lambda texts, tokenizer, table: []))
    with pytest.raises(MillisError, match="augmentation changed no text of the training split; choose another, or"):
        Lesson.of(run, teacher.tokenizer)


def test_extra_texts_bear_the_teachers_answers(asked, teacher):
    lesson = Lesson.of(asked("augmentation=typos"), teacher.tokenizer)
    own = len(teacher.inputs.dataset.train)
    assert len(lesson.texts) > own
    assert lesson.texts.references[own:] == lesson.logits().categories[own:]


def test_texts_without_labels_bear_the_teachers_answers_beside_augmented_ones(asked, better_read):
    own, further = len(better_read.inputs.dataset.train), better_read.inputs.dataset.unlabelled
    for overrides, more in (([], 0), (["augmentation=typos"], 1)):
        lesson = Lesson.of(replace(asked(*overrides), teacher=better_read), better_read.tokenizer)
        assert lesson.texts.texts[own : own + 3] == further
        assert len(lesson.texts) >= own + 3 + more
        assert lesson.texts.references[own:] == lesson.logits().categories[own:]
