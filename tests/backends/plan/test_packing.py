"""Weights as the kernels read them, against layouts written out by hand."""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from millis.backends.plan import packing


def test_panels_hold_sixteen_outputs_of_one_input_side_by_side():
    weights = np.arange(17 * 2, dtype=np.float32).reshape(17, 2)  # row o is [2o, 2o + 1]
    first, second = packing.panels(weights).reshape(2, 2, 16)
    assert first.tolist() == [list(range(0, 32, 2)), list(range(1, 33, 2))]
    assert second.tolist() == [[32, *[0] * 15], [33, *[0] * 15]]


def test_integers_lie_four_inputs_of_an_output_side_by_side():
    values = np.arange(12, dtype=np.int8).reshape(2, 6)
    panel = packing.integer_panels(values).reshape(2, 16, 4)  # [groups of inputs, outputs, 4]
    assert panel[0, :3].tolist() == [[0, 1, 2, 3], [6, 7, 8, 9], [0, 0, 0, 0]]
    assert panel[1, :2].tolist() == [[4, 5, 0, 0], [10, 11, 0, 0]]


def test_rounding_by_hand():
    weights = np.array([[1.27, -0.635, 0.005], [0, 0, 0]], np.float32)
    values, scales = packing.rounded(weights, 127)
    assert values.tolist() == [[127, -64, 0], [0, 0, 0]]  # -63.5 and 0.5 go to the even integer
    assert scales == pytest.approx([0.01, 1])


def test_one_scale_and_seven_bits():
    values, scales = packing.rounded(np.array([[0.64, 0.32], [0.01, 0.0]], np.float32), 64, per_channel=False)
    assert scales == pytest.approx([0.01])
    assert values.tolist() == [[64, 32], [1, 0]]


@given(st.integers(0, 2**32 - 1))
def test_bf16_is_torch_s(seed):
    bits = np.random.default_rng(seed).integers(0, 2**32, 50, np.uint64).astype(np.uint32)
    values = bits.view(np.float32)
    values = values[np.isfinite(values)]
    expected = torch.from_numpy(values.copy()).bfloat16().view(torch.int16).numpy().view(np.uint16)
    assert np.array_equal(packing.halves(values), expected)


def test_bf16_lies_two_inputs_of_an_output_side_by_side():
    weights = np.arange(17 * 3, dtype=np.float32).reshape(17, 3)
    packed = packing.half_panels(weights)
    assert packed.shape == (2, 2, 16, 2)
    whole = (packed.astype(np.uint32) << 16).view(np.float32)
    assert whole[0, 0, 5].tolist() == [15, 16]
    assert whole[0, 1, 5].tolist() == [17, 0]
    assert whole[1, 0, :2].tolist() == [[48, 49], [0, 0]]


def test_rows_are_padded_with_zeros():
    assert packing.row(np.ones(3, np.float32)).tolist() == [1, 1, 1, *[0] * 13]
    assert packing.table_rows(np.ones((2, 3), np.int8)).reshape(2, 16).sum(axis=1).tolist() == [3, 3]


def test_two_integers_of_4_bits_share_a_byte():
    values = np.arange(-8, 4, dtype=np.int8).reshape(1, 12)
    packed = packing.nibble_panels(values).view(np.uint8)
    assert packed.shape == (1, 2, 16, 4)
    # 8 more: 0 1 2 3 below 4 5 6 7, then 8 9 10 11 below zeros, which are 8.
    assert packed[0, :, 0].tolist() == [[0x40, 0x51, 0x62, 0x73], [0x88, 0x89, 0x8A, 0x8B]]
    assert (packed[0, :, 1:] == 0x88).all()


def test_blocks_by_hand():
    # The end of larger magnitude lies on -8: scales -0.5 and 0.25.
    weights = np.array([[4, -3.5, 0, 1, -2, 1.75]], np.float32)
    values, scales = packing.blocked(weights, 4)
    assert scales.tolist() == [[-0.5, 0.25]]
    assert values.tolist() == [[-8, 7, 0, -2, -8, 7]]
