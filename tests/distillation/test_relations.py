"""MiniLM's relations: two tokens by hand, a loop written from the papers, and the texts of what cannot be."""

import math

import numpy as np
import pytest
import torch

from millis.distillation.relations import Relation, relation_kl
from millis.errors import MillisError
from millis.models.features import Feature

LN3 = math.log(3)


def test_value_relations_by_hand():
    # Teacher's values (√ln 3, 0) and (0, 0) as one relation head of A = 1 channel: products ln 3, 0 | 0, 0, so the
    # first token's relation is (3/4, 1/4), the second's (1/2, 1/2). The student's values are 0: (1/2, 1/2) twice.
    teacher, student = torch.tensor([[[math.sqrt(LN3)], [0.0]]]), torch.zeros(1, 2, 1)
    found = relation_kl([student] * 2, [teacher] * 2, torch.ones(1, 2), 1, 1)
    assert found.item() == pytest.approx((0.75 * LN3 - math.log(2)) / 2, abs=1e-6)


def test_products_are_scaled_by_each_models_own_head_size():
    # The same products in 4 channels: 2 ln 3 / √4 = ln 3.
    teacher = torch.zeros(1, 2, 4)
    teacher[0, 0, 0] = math.sqrt(2 * LN3)
    found = relation_kl([torch.zeros(1, 2, 1)] * 2, [teacher] * 2, torch.ones(1, 2), 1, 1)
    assert found.item() == pytest.approx((0.75 * LN3 - math.log(2)) / 2, abs=1e-6)


def by_loops(left, right, heads, lengths):
    """Relations of 2012.15828, section 3.2: {(text, head, token): distribution over that text's tokens}."""
    relations = {}
    for text, length in enumerate(lengths):
        for head in range(heads):
            size = left.shape[-1] // heads
            a = left[text, :length, head * size : (head + 1) * size]
            b = right[text, :length, head * size : (head + 1) * size]
            for token in range(length):
                products = np.array([np.dot(a[token], b[other]) / math.sqrt(size) for other in range(length)])
                relations[text, head, token] = np.exp(products) / np.exp(products).sum()
    return relations


@pytest.mark.parametrize(("heads", "student_width"), [(1, 6), (2, 6), (3, 6), (6, 6), (4, 8)])
def test_against_loops_over_texts_heads_and_tokens(heads, student_width):
    generator, lengths = np.random.default_rng(0), [5, 3, 1]
    ours = [generator.normal(size=(3, 5, student_width)) for _ in range(2)]
    theirs = [generator.normal(size=(3, 5, 12)) for _ in range(2)]
    mask = torch.tensor([[token < length for token in range(5)] for length in lengths]).long()
    p, q = by_loops(*theirs, heads, lengths), by_loops(*ours, heads, lengths)
    expected = np.mean([(p[key] * np.log(p[key] / q[key])).sum() for key in p])
    found = relation_kl(
        [torch.from_numpy(array) for array in ours], [torch.from_numpy(array) for array in theirs], mask, heads, heads
    )
    assert found.item() == pytest.approx(expected, rel=1e-9)


@pytest.mark.parametrize(("left", "right"), [("query", "key"), ("value", "value"), ("query", "query"), ("key", "key")])
@pytest.mark.parametrize("heads", [None, 1, 8, 16])
def test_a_student_that_is_its_teacher_has_nothing_to_learn(pair, batch_of, left, right, heads):
    both = pair()
    loss = Relation(1.0, left, right, heads, [[-1, -1]]).bind(both)
    assert loss.student_features == loss.teacher_features == {Feature(left, 3), Feature(right, 3)}
    assert loss(*batch_of(both, loss)).item() == pytest.approx(0, abs=1e-6)


@pytest.mark.parametrize("teacher_type", ["bert", "distilbert", "electra", "gpt2"])
def test_heads_widths_layers_and_architectures_may_differ(pair, encoder, batch_of, teacher_type):
    both = pair(encoder(layers=2, heads=[4, 2], hidden=8, seed=1), encoder(teacher_type))
    loss = Relation(1.0, "value", "value", 4, [[-1, -2]]).bind(both)
    assert loss.student_features == {Feature("value", 1)}
    assert loss.teacher_features == {Feature("value", 2)}
    assert list(loss.parameters()) == []
    found = loss(*batch_of(both, loss))
    found.backward()
    assert found > 0
    gradient = both.student.encoder.encoder.layer[1].attention.self.value.weight.grad
    assert gradient.abs().sum() > 0


@pytest.mark.parametrize(
    ("heads", "student_heads", "message"),
    [
        (
            3, [4, 4],
            "heads=3 relation heads do not divide the 16 query channels of student layer 1: expected one of 1, 2, 4, "
            "8, 16",
        ),
        (
            16, [4, 2],
            "heads=16 relation heads do not divide the 8 query channels of student layer 1: expected one of 1, 2, 4, 8",
        ),
        (
            None, [4, 2],
            "student layer 1 has 2 attention heads and teacher layer 3 has 4: their relations cannot be compared head "
            "by head. Set heads to a number that divides both widths (8 and 16), as MiniLMv2 does",
        ),
        (
            4, [4, 0],
            "student layer 1 has no attention heads left: it has no relations. Name another layer, or drop the term",
        ),
    ],
)  # fmt: skip
def test_heads_that_do_not_fit(pair, encoder, heads, student_heads, message):
    with pytest.raises(MillisError) as error:
        Relation(1.0, "value", "value", heads, [[-1, -1]]).bind(pair(encoder(layers=2, heads=student_heads)))
    assert str(error.value) == message


def test_settings_without_sense():
    with pytest.raises(MillisError, match="left='queries' is unknown; expected one of query, key, value"):
        Relation(1.0, "queries", "key", 4, "last")
    with pytest.raises(MillisError, match="heads=0 relation heads: expected at least 1, or null"):
        Relation(1.0, "query", "key", 0, "last")
