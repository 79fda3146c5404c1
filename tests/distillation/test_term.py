"""What terms are made of: sums, precision, projections."""

import pytest
import torch
from torch import nn

from millis.distillation.term import (
    FeatureLoss,
    Match,
    answer_key,
    check_choice,
    mean_over_tokens,
    projection,
    student_key,
    teacher_key,
)
from millis.errors import MillisError
from millis.models.features import Feature

OURS, THEIRS = Feature("hidden", 0), Feature("hidden", 3)


def test_keys_in_a_batch():
    assert student_key(OURS) == "student/hidden/0"
    assert teacher_key(THEIRS) == "teacher/hidden/3"
    assert answer_key("logits") == "teacher_logits/logits"


def test_distances_are_added_and_features_collected():
    loss = FeatureLoss(
        [
            Match((OURS,), (THEIRS,), lambda student, teacher, mask: (student[0] - teacher[0]).sum()),
            Match((OURS, OURS), (THEIRS,), lambda student, teacher, mask: 10 * student[1].sum() * mask.sum()),
        ]
    )
    batch = {
        "student/hidden/0": torch.tensor([[[5.0]]]), "teacher/hidden/3": torch.tensor([[[3.0]]]),
        "attention_mask": torch.ones(1, 1),
    }  # fmt: skip
    assert loss([torch.zeros(1, 2)], batch).item() == 5 - 3 + 10 * 5
    assert loss.student_features == {OURS}
    assert loss.teacher_features == {THEIRS}


def test_distances_are_computed_in_single_precision_under_autocast():
    # 1 + 2^-10 is no bf16 number (8 bits): the product of a row of ones with it would be 16 there.
    seen = []

    def compare(student, teacher, _mask):
        seen.append(student[0].dtype)
        return (student[0] @ teacher[0].transpose(1, 2)).sum()

    loss = FeatureLoss([Match((OURS,), (THEIRS,), compare)])
    batch = {
        "student/hidden/0": torch.ones(1, 1, 16, dtype=torch.bfloat16),
        "teacher/hidden/3": torch.full((1, 1, 16), 1 + 2**-10), "attention_mask": torch.ones(1, 1),
    }  # fmt: skip
    with torch.autocast("cpu", torch.bfloat16):
        found = loss([torch.zeros(1, 2)], batch)
    assert seen == [torch.float32]
    assert found.dtype == torch.float32
    assert found.item() == 16 + 16 * 2**-10


def test_a_term_without_layers_is_a_mistake():
    with pytest.raises(AssertionError, match="would add 0 and teach nothing"):
        FeatureLoss([])


def test_widths_that_differ_are_bridged_and_equal_ones_are_not():
    assert isinstance(projection(4, 4), nn.Identity)
    bridge = projection(4, 6)
    assert bridge(torch.zeros(2, 3, 4)).shape == (2, 3, 6)
    assert bridge.bias is None


def test_the_mean_leaves_padding_out():
    assert mean_over_tokens(torch.tensor([[1.0, 3.0, 99.0]]), torch.tensor([[1, 1, 0]])).item() == 2


def test_a_choice_that_is_none():
    with pytest.raises(MillisError) as error:
        check_choice("loss", "cosin", ["mse", "cosine"])
    assert str(error.value) == (
        "distillation: loss='cosin' is unknown; expected one of mse, cosine (did you mean 'cosine'?)"
    )
