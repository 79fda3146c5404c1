"""ROUGE-2: which pairs of words a summary shares with its reference (`millis.metrics._rouge`)."""

from dataclasses import dataclass
from typing import ClassVar

from millis.metrics._rouge import OverRouge


@dataclass(frozen=True)
class Rouge2(OverRouge):
    """100 × mean of 2·P·R / (P + R) of the pairs of words that stand side by side, in percent."""

    rouge: ClassVar[str] = "rouge2"
