"""Bits per byte: how many bits of a perfect code, made by the model's probabilities, each byte of text would take."""

from dataclasses import dataclass
from math import log
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from millis.metrics._likelihood import OverText, ratio


@dataclass(frozen=True)
class BitsPerByte(OverText):
    """nats / (bytes · ln 2), less is better; it compares models of any tokenizers (Gao et al. 2020, 2101.00027, section
    3.1)."""

    unit: ClassVar[str] = "bits"

    def value(self, sums: NDArray[np.float64]) -> NDArray[np.float64]:
        """[..., 3] → [...]"""
        return np.asarray(ratio(sums[..., 0], sums[..., 2]) / log(2))
