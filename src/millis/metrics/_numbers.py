"""What metrics of numbers share."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar, Self

from millis.metrics._labels import Kind


@dataclass(frozen=True)
class OverNumbers:
    """Metrics that need to know nothing of the data."""

    judges: ClassVar[tuple[Kind, ...]] = ("number",)

    @classmethod
    def of(cls, labels: Sequence[str]) -> Self:
        """Over numbers, which have no names."""
        return cls()
