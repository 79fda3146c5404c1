"""What metrics of language models share: sums of nats, tokens and bytes."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar, Self

import numpy as np
from numpy.typing import NDArray

from millis.metrics._labels import Kind
from millis.metrics.contract import Items
from millis.units import Better

LARGEST = 700.0  # nats: the exponential of more is no number


@dataclass(frozen=True)
class OverText:
    """Metrics of how likely a model finds texts. An answer is (nats, tokens, bytes): minus the logarithm of the
    probability of the tokens it predicted, how many these are, and the bytes of text that they stand for."""

    judges: ClassVar[tuple[Kind, ...]] = ("likelihood",)
    better: ClassVar[Better] = "lower"

    @classmethod
    def of(cls, labels: Sequence[str]) -> Self:
        """Over texts, which have no labels."""
        return cls()

    def statistics(self, answers: Items, references: Items) -> NDArray[np.float64]:
        """(nats, tokens, bytes), [N, 3]; references are not read."""
        return np.array([answer[:3] for answer in answers], np.float64).reshape(-1, 3)


def ratio(part: NDArray[np.float64], whole: NDArray[np.float64]) -> NDArray[np.float64]:
    """part / whole, nan where there is no whole, [...]."""
    return np.asarray(np.divide(part, whole, out=np.full(np.shape(whole), np.nan), where=whole > 0))
