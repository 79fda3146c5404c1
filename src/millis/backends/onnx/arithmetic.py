"""What ONNX Runtime computes for a `Quantization`: which tensors become integers, on which grid, grouped how.

Read off onnxruntime 1.31 (`quantize_dynamic`, `MatMulNBits`) and off the graphs that `millis.backends.onnx.quantize`
writes. Products of two activations (attention scores and contexts), layer norms, softmax and activation functions stay
fp32 in all of them.
"""

from dataclasses import replace

from millis.backends.onnx.blocks import SHARES
from millis.quantization.arithmetic import Arithmetic, Stored
from millis.quantization.fake_quantize import INT4, INT8, INT8_NARROW, INT8_REDUCED, UINT8
from millis.quantization.processor import reduces_range
from millis.quantization.spec import Quantization
from millis.quantization.steps import affine, extreme, symmetric
from millis.quantization.weights import PerBlock, PerRow, PerTensor

TABLE = Stored(PerTensor(), affine, UINT8)  # one range with 0 in it; rows become floats again as they are read


def arithmetic(quantization: Quantization) -> Arithmetic:
    """What the deployed graph computes for `quantization`."""
    return {"dynamic": _dynamic, "static": _static, "none": _weights_alone}[quantization.activations](quantization)


def _dynamic(quantization: Quantization) -> Arithmetic:
    """`MatMulInteger`, `ConvInteger` (one scale a convolution), `DynamicQuantizeLSTM` (one a gate's row), `Gather`."""
    matrix = _matrix(quantization)
    return Arithmetic(matrix, Stored(PerTensor(), symmetric, matrix.grid), matrix, TABLE, "dynamic")


def _static(quantization: Quantization) -> Arithmetic:
    """Products with a stored matrix between QuantizeLinear and DequantizeLinear, their results fp32."""
    return Arithmetic(_matrix(quantization), None, None, TABLE, "static")


def _weights_alone(quantization: Quantization) -> Arithmetic:
    """`MatMulNBits` at accuracy level 4."""
    assert quantization.block_size is not None  # `Quantization` refuses weights alone without
    finer = Stored(PerBlock(quantization.block_size), extreme, INT8, SHARES)
    matrix = replace(finer, grid=INT4) if quantization.weights == 4 else finer
    return Arithmetic(matrix, None, None, TABLE, "none", quantization.block_size, finer)


def _matrix(quantization: Quantization) -> Stored:
    """s = max|w| / 127; of 7 bits, / 64."""
    grid = INT8_REDUCED if reduces_range(quantization) else INT8_NARROW
    return Stored(PerRow() if quantization.per_channel else PerTensor(), symmetric, grid)
