import pytest
import torch

from millis.backends.onnx.arithmetic import arithmetic
from millis.quantization import processor
from millis.quantization.fake_quantize import INT8_NARROW, INT8_REDUCED
from millis.quantization.qat import Aware
from millis.quantization.spec import Calibration, Quantization

AVX2 = {"architecture": "x86_64", "avx2": True, "avx512_vnni": False, "avx_vnni": False, "amx_int8": False}
SMOOTH = {"smooth": 0.5, "calibration": Calibration()}


@pytest.fixture
def flags(monkeypatch):
    """Makes this processor one with other capabilities."""
    return lambda found: monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: found)


@pytest.mark.parametrize(
    ("found", "saturates"),
    [
        (AVX2, True),
        (AVX2 | {"avx512_vnni": True}, False),
        (AVX2 | {"avx_vnni": True}, False),
        (AVX2 | {"amx_int8": True}, False),
        ({"architecture": "aarch64"}, False),
        ({}, False),
    ],
)
def test_x86_without_dot_products_saturates(flags, found, saturates):
    flags(found)
    assert processor.saturates() is saturates


@pytest.mark.parametrize(
    ("values", "reduced", "told"),
    [
        ({}, True, "weights have 7 bits: this processor, without VNNI"),
        (SMOOTH, True, "weights have 7 bits: this processor, without VNNI"),
        ({"per_channel": False}, False, "a few u8 x s8 products; 7 bits, with a scale a tensor, lose more"),
        ({"per_channel": False, "aware": Aware()}, True, "weights have 7 bits: this processor, without VNNI"),
        (SMOOTH | {"reduce_range": False}, False, None),
        ({"reduce_range": True}, True, "as asked"),
        ({"activations": "none", "block_size": 32}, False, None),
    ],
)
def test_weights_lose_a_bit_where_saturation_costs_more(flags, values, reduced, told):
    flags(AVX2)
    quantization = Quantization(**values)
    assert processor.reduces_range(quantization) is reduced
    note = processor.told(quantization)
    assert note is None if told is None else told in note


def test_with_dot_products_nothing_is_reduced_or_said(flags):
    flags(AVX2 | {"avx512_vnni": True})
    assert not processor.reduces_range(Quantization(**SMOOTH))
    assert processor.told(Quantization(**SMOOTH)) is None


def test_training_imitates_the_grid_of_the_processor(flags):
    flags(AVX2)
    assert arithmetic(Quantization()).matrix.grid == INT8_REDUCED
    flags(AVX2 | {"avx_vnni": True})
    assert arithmetic(Quantization()).matrix.grid == INT8_NARROW


def test_seven_bits_cannot_saturate_and_eight_can():
    # Two products in 16 bits, the arithmetic of the module's first lines.
    assert 2 * 255 * 64 <= 2**15 - 1 < 2 * 255 * 127
