"""What backend=native computes for a `Quantization`: a scale for each output, or for each block of its inputs, and what
is read rounded token by token.

Training imitates it. Convolutions, whose windows span several tokens, stay fp32 where training is to imitate them.
"""

from millis.backends.onnx.blocks import SHARES
from millis.quantization.arithmetic import Arithmetic, Stored
from millis.quantization.fake_quantize import INT4, INT8_NARROW, INT8_REDUCED
from millis.quantization.processor import reduces_range
from millis.quantization.spec import Quantization
from millis.quantization.steps import extreme, symmetric
from millis.quantization.weights import PerBlock, PerRow, PerTensor

ROWS = Stored(PerRow(), symmetric, INT8_NARROW)


def arithmetic(quantization: Quantization) -> Arithmetic:
    """Of dynamic int8, or of weights of 4 bits in blocks."""
    if quantization.block_size is not None:
        blocks = Stored(PerBlock(quantization.block_size), extreme, INT4, SHARES)
        return Arithmetic(blocks, None, None, ROWS, "rows", finer=ROWS)
    grid = INT8_REDUCED if reduces_range(quantization) else INT8_NARROW
    matrix = Stored(PerRow() if quantization.per_channel else PerTensor(), symmetric, grid)
    return Arithmetic(matrix, None, matrix, ROWS, "rows")
