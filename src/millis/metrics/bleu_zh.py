"""BLEU of Chinese, whose characters are its words: sacreBLEU's tokenizer `zh`, as its papers and WMT report it."""

from dataclasses import dataclass
from typing import Literal

from millis.metrics.bleu import Bleu


@dataclass(frozen=True)
class BleuZh(Bleu):
    """As `Bleu`, where each Chinese character is a word, and what is not Chinese is divided as in English."""

    tok: Literal["zh"] = "zh"
