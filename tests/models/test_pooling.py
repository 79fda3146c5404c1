"""Pooling by hand: two tokens and one padding of two channels."""

import torch

from millis.models import pooling

STATES = torch.tensor([[[1.0, -4.0], [3.0, 2.0], [9.0, 9.0]]])  # [1, 3, 2]
MASK = torch.tensor([[1, 1, 0]])


def test_mean_is_over_tokens():
    assert pooling.mean(STATES, MASK).tolist() == [[2.0, -1.0]]  # (1 + 3) / 2, (-4 + 2) / 2


def test_cls_is_the_first_position():
    assert pooling.cls(STATES, MASK).tolist() == [[1.0, -4.0]]


def test_maximum_is_over_tokens():
    assert pooling.maximum(STATES, MASK, floor=-4.0).tolist() == [[3.0, 2.0]]


def test_no_tokens_give_zeros_or_the_floor():
    assert pooling.mean(STATES, 0 * MASK).tolist() == [[0.0, 0.0]]
    assert pooling.maximum(STATES, 0 * MASK, floor=-4.0).tolist() == [[-4.0, -4.0]]


def test_a_spec_chooses_among_those_that_need_nothing_else():
    assert {"mean": pooling.mean, "cls": pooling.cls} == pooling.POOLINGS
