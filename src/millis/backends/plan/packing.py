"""Weights as the kernels read them.

A matrix [O, I] lies in panels of 16 outputs, zeros where O is no multiple: fp32 as [panels, I, 16]; bf16, two inputs of
one output side by side, as [panels, I / 2, 16, 2]; integers, four of them, as [panels, I / 4, 16, 4], which every
instruction set reads in order; those of 4 bits two a byte, as [panels, I / 8, 16, 4], with scales [panels, blocks, 16].
Rows of tables, biases and norms are padded with zeros to a multiple of 16.

Integers are symmetric, s = max|w| / high of each output, or of the whole matrix; a table's rows have a scale each.
"""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from millis.backends.onnx.blocks import block_scales

PANEL = 16
TINY = float(np.finfo(np.float32).tiny)

Floats = NDArray[np.float32]
Halves = NDArray[np.uint16]


class Integers(NamedTuple):
    """A matrix on its grid: w ≈ scales · values.

    Args:
        values: [O, I] int8.
        scales: [O], or [1] for the whole matrix.
    """

    values: NDArray[np.int8]
    scales: Floats


def padded(count: int, multiple: int = PANEL) -> int:
    """The next multiple."""
    return -(-count // multiple) * multiple


def row(values: Floats) -> Floats:
    """A vector [n] with zeros up to a multiple of 16."""
    return np.pad(values.astype(np.float32), (0, padded(len(values)) - len(values)))


def rounded(weights: Floats, high: int, per_channel: bool = True) -> Integers:
    """`weights` [O, I] on symmetric grids of -high..high, ties to the even integer.

    Args:
        high: 127, or 64 where products of more would saturate (`millis.quantization.processor`).
        per_channel: A scale for each output, or one.
    """
    most = np.abs(weights).max(axis=1 if per_channel else None, initial=0.0).reshape(-1)
    scales = (most.astype(np.float64) / high).astype(np.float32)
    scales = np.where(scales < TINY, np.float32(1), scales)
    values = np.clip(np.rint(weights / scales[:, None]), -high, high).astype(np.int8)
    return Integers(values, scales)


def panels(weights: Floats) -> Floats:
    """fp32 [O, I] → [panels, I, 16]."""
    outputs, inputs = weights.shape
    full = np.zeros((padded(outputs), inputs), np.float32)
    full[:outputs] = weights
    return np.ascontiguousarray(full.reshape(-1, PANEL, inputs).transpose(0, 2, 1))


def halves(values: Floats) -> Halves:
    """bf16, to the nearest, ties to even: the upper half of each number's bits."""
    bits = np.ascontiguousarray(values, np.float32).view(np.uint32)
    return ((bits + np.uint32(0x7FFF) + (bits >> 16 & 1)) >> 16).astype(np.uint16)


def half_panels(weights: Floats) -> Halves:
    """fp32 [O, I] → bf16 [panels, I / 2, 16, 2]."""
    outputs, inputs = weights.shape
    full = np.zeros((padded(outputs), padded(inputs, 2)), np.uint16)
    full[:outputs, :inputs] = halves(weights)
    return np.ascontiguousarray(full.reshape(-1, PANEL, padded(inputs, 2) // 2, 2).transpose(0, 2, 1, 3))


def integer_panels(values: NDArray[np.int8]) -> NDArray[np.int8]:
    """int8 [O, I] → [panels, I / 4, 16, 4]."""
    outputs, inputs = values.shape
    full = np.zeros((padded(outputs), padded(inputs, 4)), np.int8)
    full[:outputs, :inputs] = values
    return np.ascontiguousarray(full.reshape(-1, PANEL, padded(inputs, 4) // 4, 4).transpose(0, 2, 1, 3))


def blocked(weights: Floats, size: int) -> Integers:
    """`weights` [O, I] on grids of -8..7, a scale for every `size` inputs of an output (`millis.backends.onnx.blocks`).

    Returns:
        Values [O, I] and scales [O, blocks].
    """
    outputs, inputs = weights.shape
    blocks = np.pad(weights, ((0, 0), (0, -inputs % size))).reshape(outputs, -1, size)
    scales = block_scales(blocks, 4)
    values = np.clip(np.rint(blocks / scales[..., None]), -8, 7).astype(np.int8)
    return Integers(values.reshape(outputs, -1)[:, :inputs], scales)


def nibble_panels(values: NDArray[np.int8]) -> NDArray[np.int8]:
    """-8..7 [O, I] → [panels, I / 8, 16, 4]: of eight inputs the first four in the lower halves, as 8 more."""
    outputs, inputs = values.shape
    full = np.full((padded(outputs), padded(inputs, 8)), 8, np.uint8)
    full[:outputs, :inputs] = values + 8
    lower, upper = np.moveaxis(full.reshape(-1, PANEL, padded(inputs, 8) // 8, 2, 4), 3, 0)
    return np.ascontiguousarray((lower | upper << 4).transpose(0, 2, 1, 3)).view(np.int8)


def table_rows(rows: NDArray[np.generic]) -> NDArray[np.generic]:
    """[V, D] → [V, padded D]."""
    return np.pad(rows, ((0, 0), (0, padded(rows.shape[1]) - rows.shape[1])))
