"""ROUGE-L: the longest sequence of words that a summary shares with its reference (`millis.metrics._rouge`).

Of the text as a whole, as for summaries of one sentence (XSum, SciTLDR); papers on summaries of several sentences
(CNN/DailyMail) report `rougeLsum`, which takes each sentence for itself and is several points higher there.
"""

from dataclasses import dataclass
from typing import ClassVar

from millis.metrics._rouge import OverRouge


@dataclass(frozen=True)
class RougeL(OverRouge):
    """100 × mean of 2·P·R / (P + R), P and R being shares of the words in order that both have, in percent."""

    rouge: ClassVar[str] = "rougeL"
