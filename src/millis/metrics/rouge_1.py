"""ROUGE-1: which words a summary shares with its reference (`millis.metrics._rouge`)."""

from dataclasses import dataclass
from typing import ClassVar

from millis.metrics._rouge import OverRouge


@dataclass(frozen=True)
class Rouge1(OverRouge):
    """100 × mean of 2·P·R / (P + R) of the words, in percent."""

    rouge: ClassVar[str] = "rouge1"
