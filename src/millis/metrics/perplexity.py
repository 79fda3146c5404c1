"""Perplexity: of how many tokens, equally likely, the next one would be as hard to guess."""

from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from millis.metrics._likelihood import LARGEST, OverText, ratio


@dataclass(frozen=True)
class Perplexity(OverText):
    """exp(nats / tokens), less is better (Jelinek et al. 1977). It compares models of one tokenizer alone."""

    unit: ClassVar[str] = ""

    def value(self, sums: NDArray[np.float64]) -> NDArray[np.float64]:
        """[..., 3] → [...]"""
        return np.asarray(np.exp(np.minimum(ratio(sums[..., 0], sums[..., 1]), LARGEST)))
