"""Mean reciprocal rank of the first ten: at which place the first right candidate stands, if it stands there.

As MS MARCO has it (Nguyen et al. 2016, 1611.09268): a query whose first right candidate stands later counts 0.
"""

from dataclasses import dataclass
from typing import ClassVar

from millis.metrics.mrr import Mrr


@dataclass(frozen=True)
class MrrAt10(Mrr):
    """100 × mean of 1 / (place of the first right candidate), 0 beyond the tenth, in percent."""

    depth: ClassVar[int | None] = 10
