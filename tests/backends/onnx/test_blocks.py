import numpy as np
import onnx
import pytest
from hypothesis import given
from hypothesis import strategies as st
from onnx import TensorProto, helper

from millis.backends.onnx.blocks import block_scales, pack, product
from millis.backends.onnx.session import open_session


def unpack(values, scales, bits, block_size, inputs):
    """[K, N] of what `pack` gave: the layout read off the specification of MatMulNBits."""
    if bits == 4:
        values = np.stack([values & 15, values >> 4], axis=-1).reshape(*values.shape[:-1], block_size)
    floats = (values.astype(np.float32) - (1 << (bits - 1))) * scales[..., None]
    return floats.reshape(len(values), -1)[:, :inputs].T


def test_a_block_by_hand():
    # e = -4: s = -4 / -8 = 0.5 puts 1, -2.5, 3.5 and -4 on 2, -5, 7 and -8; 4 bits store them with 8 added.
    weight = np.array([[1.0], [-2.5], [3.5], [-4.0]] + [[0.0]] * 12, np.float32)
    values, scales = pack(weight, bits=4, block_size=16)
    assert scales.tolist() == [[0.5]]
    assert values[0, 0].tolist() == [10 | 3 << 4, 15 | 0 << 4] + [8 | 8 << 4] * 6


def test_the_larger_side_of_the_grid_is_turned_to_the_larger_weight():
    weight = np.zeros((16, 1), np.float32)
    weight[:2, 0] = [4.0, -3.5]
    values, scales = pack(weight, bits=8, block_size=16)
    assert scales.tolist() == [[4.0 / -128]]
    assert values[0, 0, :3].tolist() == [0, 240, 128]  # -128 and 112, with 128 added


def test_a_scale_below_the_range_is_taken_where_it_errs_less():
    # 15 weights of 0.675 beside -1. s = 1/8 makes each 0.625, an error of 15 · 0.05² = 0.0375; s = 0.9/8 (c = 0.9) has
    # 0.675 on its grid and clips -1 to -0.9, an error of 0.01. Its neighbours c = 0.95 and 0.85 err by 0.024 and 0.044.
    block = np.array([[-1.0] + [0.675] * 15], np.float32)
    assert block_scales(block, 4) == pytest.approx(np.array([0.9 / 8]), abs=1e-7)


@given(st.integers(0, 2**32 - 1), st.sampled_from([4, 8]), st.sampled_from([16, 32]))
def test_no_weight_is_further_off_than_clipping_or_half_a_step_takes_it(seed, bits, block_size):
    generator = np.random.default_rng(seed)
    weight = generator.normal(size=(40, 3)).astype(np.float32)
    values, scales = pack(weight, bits, block_size)
    assert values.shape == (3, -(-40 // block_size), block_size * bits // 8)
    error = np.abs(unpack(values, scales, bits, block_size, 40) - weight).max()
    assert error <= np.abs(weight).max() * (0.31 + 2.0 ** (1 - bits))  # c ≥ 0.7 clips at most 0.3 of e


@given(st.integers(0, 2**32 - 1), st.sampled_from([4, 8]))
def test_weights_on_such_a_grid_stay_where_they_are(seed, bits):
    generator = np.random.default_rng(seed)
    half = 1 << (bits - 1)
    integers = generator.integers(-half, half, (32, 2))
    integers[0] = -half
    weight = (integers * generator.uniform(0.01, 1, 2)).astype(np.float32)
    assert unpack(*pack(weight, bits, 32), bits, 32, 32) == pytest.approx(weight, rel=1e-6)


def test_a_column_of_zeros_stays_zero():
    values, scales = pack(np.zeros((16, 1), np.float32), 4, 16)
    assert not unpack(values, scales, 4, 16, 16).any()


@pytest.mark.parametrize("bits", [4, 8])
def test_onnx_runtime_reads_the_weights_as_packed(tmp_path, bits):
    generator = np.random.default_rng(0)
    weight = generator.normal(size=(40, 5)).astype(np.float32)
    plain = helper.make_node("MatMul", ["x", "w"], ["logits"], "product")
    node, tensors = product(plain, weight, bits, 16)
    # The mask picks a row of the unit matrix, so the logits are a row of the weight; 1 is exact in 8 bits.
    unit = onnx.numpy_helper.from_array(np.eye(40, dtype=np.float32), "unit")
    gather = helper.make_node("Gather", ["unit", "input_ids"], ["x"])
    inputs = [
        helper.make_tensor_value_info(n, TensorProto.INT64, [None, None]) for n in ("input_ids", "attention_mask")
    ]
    output = helper.make_tensor_value_info("logits", TensorProto.FLOAT, None)
    graph = helper.make_graph([gather, node], "g", inputs, [output], [unit, *tensors])
    opsets = [helper.make_opsetid("", 17), helper.make_opsetid("com.microsoft", 1)]
    onnx.save(helper.make_model(graph, opset_imports=opsets, ir_version=8), tmp_path / "m.onnx")
    session = open_session(tmp_path / "m.onnx", 1)
    ids = np.arange(40)[None]
    got = session.run(["logits"], {"input_ids": ids, "attention_mask": ids})[0][0]
    assert got == pytest.approx(unpack(*pack(weight, bits, 16), bits, 16, 40), abs=1e-5)
