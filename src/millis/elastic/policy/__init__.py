"""Which settings are trained beside the largest and the smallest: one policy a file."""

from collections.abc import Sequence
from typing import Protocol

import numpy as np

from millis.elastic.setting import Axes, Setting


class Policy(Protocol):
    """The `policy` of elastic weights."""

    def draw(self, axes: Axes, count: int, random: np.random.Generator) -> Sequence[Setting]:
        """`count` settings for one step, of sizes of `axes`."""
        ...
