"""The architectures of the family `convolution`."""

from dataclasses import dataclass
from typing import ClassVar

from millis.models.spec import TableSpec
from millis.schema import Count


@dataclass(frozen=True, kw_only=True)
class ConvolutionSpec(TableSpec):
    """Word vectors and parallel convolutions.

    Args:
        embedding_size: E.
        filters: Of each width.
        widths: Of the windows, in tokens.
    """

    family: ClassVar[str] = "convolution"

    embedding_size: Count
    filters: Count
    widths: tuple[Count, ...]
