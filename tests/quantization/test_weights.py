"""Which weights share a step, and their integers."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from millis.quantization.fake_quantize import INT4, INT8_NARROW, UINT8
from millis.quantization.observers import full_extent
from millis.quantization.steps import LearnedSteps, RangeSteps, affine, extreme, symmetric
from millis.quantization.weights import PerBlock, PerRow, PerTensor, Transposed, WeightQuantizer

GROUPINGS = [PerTensor(), PerRow(), PerBlock(2), PerBlock(16), Transposed(PerRow()), Transposed(PerBlock(3))]
WEIGHT = torch.tensor([[1.27, -0.01, 0.5], [2.54, 0.0, -2.54]])


def quantizer(grouping, rule=symmetric, grid=INT8_NARROW):
    return WeightQuantizer(grouping, RangeSteps(rule, full_extent, grid, covers=True))


@pytest.mark.parametrize(
    ("grouping", "groups"),
    [
        (PerTensor(), [[1.27, -0.01, 0.5, 2.54, 0.0, -2.54]]),
        (PerRow(), [[1.27, -0.01, 0.5], [2.54, 0.0, -2.54]]),
        (PerBlock(2), [[1.27, -0.01], [0.5, 0.0], [2.54, 0.0], [-2.54, 0.0]]),  # zeros fill the last block
        (Transposed(PerRow()), [[1.27, 2.54], [-0.01, 0.0], [0.5, -2.54]]),
    ],
)
def test_groups(grouping, groups):
    assert torch.equal(grouping.split(WEIGHT), torch.tensor(groups))


@given(st.integers(1, 7), st.integers(1, 9), st.sampled_from(GROUPINGS))
def test_joining_undoes_splitting(rows, columns, grouping):
    weight = torch.arange(float(rows * columns)).reshape(rows, columns)
    assert torch.equal(grouping.join(grouping.split(weight), weight.shape), weight)


def test_integers_by_hand():
    values, scale, zero_point = quantizer(PerRow()).integers(WEIGHT)
    assert values.tolist() == [[127, -1, 50], [127, 0, -127]]
    assert scale.tolist() == pytest.approx([0.01, 0.02])
    assert (values.dtype, zero_point.dtype, zero_point.tolist()) == (torch.int8, torch.int8, [0, 0])


def test_a_tables_integers_by_hand():
    # The range [-2.54, 2.56] has the step 0.02 and the zero point 127.
    table = torch.tensor([[-2.54, 2.56], [0.0, 0.05]])
    values, scale, zero_point = quantizer(PerTensor(), affine, UINT8).integers(table)
    assert values.tolist() == [[0, 255], [127, 129]]  # 0.05 / 0.02 = 2.5 in the table's fp32, a tie: to 2
    assert (scale.shape, zero_point.item(), values.dtype) == (torch.Size([]), 127, torch.uint8)
    assert scale.item() == pytest.approx(0.02)


@given(st.integers(0, 100), st.sampled_from(GROUPINGS), st.sampled_from([(symmetric, INT8_NARROW), (extreme, INT4)]))
def test_rounding_factors_and_integers_are_one_thing(seed, grouping, how):
    weight = torch.randn(5, 6, generator=torch.Generator().manual_seed(seed))
    made = quantizer(grouping, *how)
    rounded, integers = made(weight), made.integers(weight)
    assert torch.equal(integers.floats(grouping), rounded)
    assert integers.values.min() >= how[1].low and integers.values.max() <= how[1].high
    factors, steps = made.factors(weight)
    assert torch.equal(factors, integers.values.float())
    assert torch.equal(steps, integers.scale.reshape(-1))


def test_rows_of_a_table_are_rounded_as_the_table_is():
    torch.manual_seed(0)
    table, made = torch.randn(20, 4), quantizer(PerTensor(), affine, UINT8)
    ids = torch.tensor([[3, 3], [0, 19]])
    assert torch.equal(made.rows(table[ids], table, ids), made(table)[ids])


@pytest.mark.parametrize("learned", [False, True])
def test_rows_may_have_a_step_each(learned):
    torch.manual_seed(0)
    table, ids = torch.randn(20, 4), torch.tensor([[3, 3], [0, 19]])
    made = quantizer(PerRow(), symmetric, INT8_NARROW)
    if learned:
        steps = LearnedSteps(symmetric, full_extent, INT8_NARROW, groups=20, sharing=4)
        steps.start(table)
        made = WeightQuantizer(PerRow(), steps)
    assert torch.equal(made.rows(table[ids], table, ids), made(table)[ids])


def test_nothing_happens_while_not_enabled():
    made = quantizer(PerTensor(), affine, UINT8)
    made.enabled = False
    assert made(WEIGHT) is WEIGHT
    assert made.rows(WEIGHT[:1], WEIGHT, torch.tensor([0])).tolist() == WEIGHT[:1].tolist()
