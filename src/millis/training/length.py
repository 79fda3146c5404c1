"""How long a training takes: epochs by the number of steps; an end that comes sooner or later by what validation says.

A set of few rows has few steps an epoch and needs more epochs (Mosbach et al. 2021, 2006.04884, section 6: what looks
like unstable fine-tuning of small sets is training that is too short). Two events move the planned end:

- Validation no longer rises: no epoch of the last `patience` was better than the best before them by more than a
  standard error. The rate then goes to zero, which is where what is left to gain is gained (2405.18392), within half as
  many epochs as there were, and training ends.
- Validation still rises in the last planned epoch, so that the 95 % interval of the rise excludes zero: the rate is
  raised again to half of its peak (a warm restart, 1608.03983) for half as many epochs as there were, as long as `most`
  allows.

The standard error is that of the difference of two sets of answers to the same texts (`millis.metrics.paired`).
"""

import math
from dataclasses import dataclass

from millis.errors import MillisError

RESTART = 0.5  # of the peak rate
CLEARLY = 1.96  # standard errors: the 95 % interval of the difference excludes zero


@dataclass(frozen=True)
class Length:
    """Epochs of a training, by its number of rows.

    Args:
        steps: Optimizer steps that are planned.
        least, most: Bounds of the epochs, whatever the steps.

    Raises:
        MillisError: no positive number of steps, or bounds in the wrong order.
    """

    steps: int = 1000
    least: int = 2
    most: int = 12

    def __post_init__(self) -> None:
        if self.steps < 1 or not 1 <= self.least <= self.most:
            raise MillisError(
                f"max_epochs: steps={self.steps}, least={self.least}, most={self.most}: expected at least 1 step and "
                "1 <= least <= most; or a whole number in place of all three"
            )

    def epochs(self, rows: int, batch_size: int) -> int:
        """`steps` as epochs over so many rows, rounded up, within the bounds."""
        return min(self.most, max(self.least, math.ceil(self.steps * batch_size / max(1, rows))))
