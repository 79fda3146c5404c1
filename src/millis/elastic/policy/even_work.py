"""Work evenly over its range, on a logarithmic scale: as many steps for students of 1 to 2 ms as for those of 2 to 4.

The range is cut into as many parts as settings are drawn, and one is drawn from each (stratified sampling).
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from millis.elastic.setting import Axes, Setting


@dataclass(frozen=True)
class EvenWork:
    """The setting whose work (`Axes.work`) is nearest to one that is drawn."""

    def draw(self, axes: Axes, count: int, random: np.random.Generator) -> Sequence[Setting]:
        """One of each part of the range, the part of least work first; of several as near, any."""
        known = np.log([axes.work(setting) for setting in axes.by_work])
        drawn = known[0] + (known[-1] - known[0]) * (np.arange(count) + random.random(count)) / count
        nearest = [np.flatnonzero(np.isclose(far := np.abs(known - one), far.min())) for one in drawn]
        return [axes.by_work[int(random.choice(found))] for found in nearest]
