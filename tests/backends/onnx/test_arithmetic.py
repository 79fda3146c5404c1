"""What is asked for, and the grids that follow."""

from dataclasses import replace

import pytest
import rounded

from millis.backends.onnx.arithmetic import TABLE, arithmetic
from millis.quantization import processor
from millis.quantization.arithmetic import Stored
from millis.quantization.fake_quantize import INT4, INT8, INT8_NARROW, INT8_REDUCED, UINT8
from millis.quantization.spec import Quantization
from millis.quantization.steps import affine, extreme, symmetric
from millis.quantization.weights import PerBlock, PerRow, PerTensor


def told(stored):
    return stored and (type(stored.grouping), stored.rule, stored.grid)


@pytest.mark.parametrize(
    ("recipe", "matrix", "kernel"),
    [
        ("dynamic", (PerRow, symmetric, INT8_NARROW), (PerTensor, symmetric, INT8_NARROW)),
        ("one scale", (PerTensor, symmetric, INT8_NARROW), (PerTensor, symmetric, INT8_NARROW)),
        ("7 bits", (PerRow, symmetric, INT8_REDUCED), (PerTensor, symmetric, INT8_REDUCED)),
        ("static", (PerRow, symmetric, INT8_NARROW), None),
        ("8 bits alone", (PerBlock, extreme, INT8), None),
        ("4 bits alone", (PerBlock, extreme, INT4), None),
    ],
)
def test_grids_follow_from_what_is_asked_for(monkeypatch, recipe, matrix, kernel):
    monkeypatch.setattr(processor, "saturates", lambda: False)  # whichever processor runs this
    quantization = rounded.quantization(recipe)
    plan = arithmetic(quantization)
    assert told(plan.matrix) == matrix
    assert told(plan.kernel) == kernel
    assert plan.recurrent == (plan.matrix if kernel else None)
    assert plan.table is TABLE
    assert (plan.activations, plan.block_size) == (quantization.activations, quantization.block_size)
    if quantization.block_size is not None:
        assert plan.matrix.grouping == PerBlock(quantization.block_size)


def test_layers_of_eight_bits_among_four_have_the_same_blocks():
    plan = arithmetic(Quantization(weights=4, activations="none", block_size=64))
    assert plan.stored(finer=False) is plan.matrix
    assert plan.stored(finer=True) == replace(plan.matrix, grid=INT8)
    assert plan.matrix.shares[0] == 1.0  # weights on a grid keep it


def test_a_table_has_one_u8_grid():
    assert told(TABLE) == (PerTensor, affine, UINT8)
    assert isinstance(TABLE, Stored)
