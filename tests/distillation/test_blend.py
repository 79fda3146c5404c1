"""Blends of teacher and linear model, by hand."""

import numpy as np
import pytest

from millis.distillation.blend import Blend, best_blend, blended
from millis.metrics import score


def logits(*probabilities):
    return np.log(np.array(probabilities, np.float32))


def test_a_blend_is_the_normalised_geometric_mean():
    # √(0.8 · 0.2) = √(0.2 · 0.8): level. With a third of the linear model: ln 4 · (2/3 - 1/3).
    teacher, linear = logits([0.8, 0.2]) + 5, logits([0.2, 0.8]) - 3
    level = blended(teacher, linear, 0.5)[0]
    assert level[0] == pytest.approx(level[1])
    third = blended(teacher, linear, 1 / 3)[0]
    assert third[0] - third[1] == pytest.approx(np.log(4) / 3, rel=1e-5)


def test_without_weight_the_teachers_own_logits_are_left():
    teacher = logits([0.8, 0.2])
    assert blended(teacher, logits([0.5, 0.5]), 0.0) is teacher


def test_the_linear_model_is_heard_where_it_is_better_by_more_than_chance():
    # Of 100 texts the teacher is wrong on 20, without being sure; the linear model is right on those and sure of them.
    references = np.zeros(100, int)
    teacher = np.where(np.arange(100)[:, None] < 20, logits([0.4, 0.6]), logits([0.9, 0.1]))
    linear = np.where(np.arange(100)[:, None] < 20, logits([0.9, 0.1]), logits([0.4, 0.6]))
    found = best_blend(teacher, linear, references, lambda found, given: score("accuracy", found, given, ("a", "b")))
    # 0.9 : 0.1 is 9 and 0.6 : 0.4 is 1.5: the texts turn where w ln 9 > (1 - w) ln 1.5, from w = 0.16 on.
    assert found == Blend(0.2, 100.0, 80.0)
    assert found.note() == (
        "learned from the teacher and the linear model together, 0.8 : 0.2, which have 100.0 on validation where the "
        "teacher alone has 80.0"
    )


def test_a_gain_within_the_standard_error_is_left():
    # One text of 100 turns: a gain of 1.0 point, its standard error 1.0.
    references = np.zeros(100, int)
    teacher = np.where(np.arange(100)[:, None] < 1, logits([0.4, 0.6]), logits([0.9, 0.1]))
    found = best_blend(
        teacher,
        logits([0.9, 0.1]).repeat(100, 0),
        references,
        lambda found, given: score("accuracy", found, given, ("a", "b")),
    )
    assert found == Blend(0.0, 99.0, 99.0)
    assert found.note() is None
