"""Means and deviations that forget, by a pencil."""

from millis.serving.smoothed import Smoothed


def test_what_is_measured_is_blended_as_round_trips_are():
    """RFC 6298, 2.2 and 2.3: SRTT 8, RTTVAR 4 at first; R' 16: RTTVAR 3/4 4 + 1/4 8, SRTT 7/8 8 + 1/8 16."""
    found = Smoothed(8)
    assert (found.mean, found.deviation, found.most(4)) == (8, 4, 24)
    found.learn(16)
    assert (found.mean, found.deviation, found.most(2)) == (9, 5, 19)
