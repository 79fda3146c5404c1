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
    """How a stored tensor is put on a grid.

    Args:
        grouping: Which values share a step.
        rule: From a group's range to its step.
        grid: The integers.
        shares: Of the step, which the backend tries for weights that bring no steps of their own: each group gets the
            one that errs least.
    """

    grouping: Grouping
    rule: Rule
    grid: Grid
    shares: tuple[float, ...] = (1.0,)


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
        finer: Weights of those linear layers that get 8 bits where the others have 4.
    """

    matrix: Stored
    kernel: Stored | None
    recurrent: Stored | None
    table: Stored | None
    activations: Activations
    block_size: int | None = None
    finer: Stored | None = None

    def stored(self, finer: bool) -> Stored:
        """How the weight of a linear layer is put on a grid."""
        if not finer:
            return self.matrix
        assert self.finer is not None  # `Quantization` refuses it where it would be no finer
        return self.finer
