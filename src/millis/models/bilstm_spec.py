"""The architectures of the family `bilstm`."""

from dataclasses import dataclass
from typing import ClassVar

from millis.models.spec import TableSpec
from millis.schema import Count


@dataclass(frozen=True, kw_only=True)
class BilstmSpec(TableSpec):
    """Word vectors and one bidirectional LSTM layer.

    Args:
        embedding_size: E.
        hidden_size: D, of each direction.
    """

    family: ClassVar[str] = "bilstm"

    embedding_size: Count
    hidden_size: Count
