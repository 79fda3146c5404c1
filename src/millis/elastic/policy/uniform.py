"""Each size by itself, all alike (once-for-all, 1908.09791, section 4; BigNAS, 2003.11142, section 3.1).

Products of sizes crowd in the middle: few of the settings that are drawn are nearly the smallest or the largest.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from millis.elastic.setting import Axes, Setting


@dataclass(frozen=True)
class Uniform:
    """A setting of sizes that are drawn one by one."""

    def draw(self, axes: Axes, count: int, random: np.random.Generator) -> Sequence[Setting]:
        """Any setting as likely as any other."""
        return [Setting(*(int(random.choice(sizes)) for sizes in axes.each)) for _ in range(count)]
