"""What is quantized and how: the request; each backend answers it with its own arithmetic."""

from dataclasses import dataclass

from millis.errors import MillisError


@dataclass(frozen=True)
class Quantization:
    """Integer arithmetic for matrix products.

    Args:
        weights: Bits of a weight; 8 is what the runtimes here run fast.
        activations: `dynamic` (a range for each tensor, taken at run time; no calibration data).
        per_channel: One scale for each output channel. On all-MiniLM-L6-v2 it raises the mean cosine to the fp32
            sentence vectors from 0.966 to 0.993 at no cost in time, hence the default.
    """

    weights: int = 8
    activations: str = "dynamic"
    per_channel: bool = True

    def __post_init__(self) -> None:
        if self.weights != 8 or self.activations != "dynamic":
            raise MillisError(
                f"quantization weights={self.weights}, activations={self.activations!r} is not supported: "
                "expected weights=8, activations='dynamic'"
            )


def none() -> None:
    """fp32: what `conf/quantization/none.yaml` asks for."""
