"""What a unit of work takes here, as it was measured: by this much as much work is chosen as fits into a time."""

import math
from threading import Lock

GAIN, GAIN_OF_DEVIATION = 1 / 8, 1 / 4  # RFC 6298, section 2: alpha and beta
DEVIATIONS = 2.0  # RFC 6298 has 4, which retransmissions ask for; much work at once evens deviations out


class Pace:
    """Nanoseconds of a unit of work: a mean and a deviation that forget, as TCP has them of round trips (RFC 6298).

    Several threads may use one.

    Args:
        first_ns: Of a unit, until something was measured.
    """

    def __init__(self, first_ns: float) -> None:
        self.mean_ns, self._deviation_ns, self._measured = first_ns, first_ns / 2, False
        self._lock = Lock()

    def learn(self, took_ns: int, units: int) -> None:
        """So many units took so long."""
        if units < 1:
            return
        each = took_ns / units
        with self._lock:
            if not self._measured:
                self.mean_ns, self._deviation_ns, self._measured = each, each / 2, True
                return
            self._deviation_ns += GAIN_OF_DEVIATION * (abs(self.mean_ns - each) - self._deviation_ns)
            self.mean_ns += GAIN * (each - self.mean_ns)

    @property
    def most_ns(self) -> float:
        """What a unit seldom takes longer than."""
        return self.mean_ns + DEVIATIONS * self._deviation_ns

    def fits(self, left_ns: float) -> int:
        """How many units fit into so long, 0 or more."""
        return max(0, math.floor(left_ns / max(self.most_ns, 1e-3)))
