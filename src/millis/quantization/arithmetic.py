"""What a backend computes for a `Quantization`: which tensors become integers, on which grid, grouped how.

Each backend that can, hands over its own (`millis.types.Imitable`), and training imitates that.
"""

from dataclasses import dataclass
from typing import Literal, TypeAlias

from millis.quantization.fake_quantize import Grid
from millis.quantization.steps import Rule
from millis.quantization.weights import Grouping

Activations: TypeAlias = Literal["dynamic", "rows", "static", "none"]


@dataclass(frozen=True)
class Stored:
    """How a stored tensor is put on a grid."""

    grouping: Grouping
    rule: Rule
    grid: Grid


@dataclass(frozen=True)
class Arithmetic:
    """What becomes integers; None stays fp32.

    Args:
        matrix: Weights of linear layers.
        kernel: Weights of convolutions.
        recurrent: Weights of LSTMs.
        table: Embedding tables.
        activations: What shares a range of what those layers read: "dynamic", each text; "rows", each token; "static",
            all there will ever be; "none", nothing.
        block_size: With "none", the kernel rounds its input all the same, this many values at a time.
    """

    matrix: Stored
    kernel: Stored | None
    recurrent: Stored | None
    table: Stored | None
    activations: Activations
    block_size: int | None = None
