"""What a unit of work takes here, as it was measured: by this much as much work is chosen as fits into a time."""

import math
from threading import Lock

from millis.serving.smoothed import Smoothed

DEVIATIONS = 2.0  # RFC 6298 has 4, which retransmissions ask for; much work at once evens deviations out
DOUBT = 1 / 32  # of an estimate that forbids all work, each time: of such works one in some 30 is tried, and measured


class Pace:
    """Nanoseconds of a unit of work (`Smoothed`).

    Several threads may use one.

    Args:
        first_ns: Of a unit, until something was measured.
    """

    def __init__(self, first_ns: float) -> None:
        self._unit, self._measured = Smoothed(first_ns), False
        self._lock = Lock()

    def learn(self, took_ns: int, units: int) -> None:
        """So many units took so long."""
        if units < 1:
            return
        each = took_ns / units
        with self._lock:
            if self._measured:
                self._unit.learn(each)
            else:
                self._unit, self._measured = Smoothed(each), True

    def doubt(self) -> None:
        """Nothing was done, for a unit is said to take too long.

        An estimate that is too high, after a stall, would else be measured no more and stand for good.
        """
        with self._lock:
            self._unit.mean -= DOUBT * self._unit.mean
            self._unit.deviation -= DOUBT * self._unit.deviation

    @property
    def mean_ns(self) -> float:
        """Of a unit."""
        return self._unit.mean

    @property
    def most_ns(self) -> float:
        """What a unit seldom takes longer than."""
        return self._unit.most(DEVIATIONS)

    def fits(self, left_ns: float) -> int:
        """How many units fit into so long, 0 or more."""
        return max(0, math.floor(left_ns / max(self.most_ns, 1e-3)))
