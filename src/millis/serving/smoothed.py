"""A measured number whose mean and deviation forget, as TCP has them of round trips (RFC 6298, section 2)."""

GAIN, GAIN_OF_DEVIATION = 1 / 8, 1 / 4  # RFC 6298, section 2: alpha and beta


class Smoothed:
    """Mean and deviation.

    Args:
        first: What is taken for the mean until more is measured; the deviation is half of it.
    """

    def __init__(self, first: float) -> None:
        self.mean, self.deviation = first, first / 2

    def learn(self, value: float) -> None:
        """One more was measured."""
        self.deviation += GAIN_OF_DEVIATION * (abs(self.mean - value) - self.deviation)
        self.mean += GAIN * (value - self.mean)

    def most(self, deviations: float) -> float:
        """What is seldom exceeded: so many deviations above the mean."""
        return self.mean + deviations * self.deviation
