"""A pace learns what a unit takes, and says how many fit."""

import pytest

from millis.applications.pace import Pace


def test_the_first_measurement_replaces_the_guess():
    pace = Pace(1e9)
    pace.learn(200, 2)  # 100 ns each, deviation 50
    assert pace.mean_ns == 100
    assert pace.most_ns == 200


def test_later_ones_are_blended_as_in_rfc_6298():
    pace = Pace(1.0)
    pace.learn(100, 1)
    pace.learn(180, 1)  # deviation 50 + (|100 - 180| - 50) / 4 = 57.5; mean 100 + 80 / 8 = 110
    assert pace.mean_ns == 110
    assert pace.most_ns == pytest.approx(110 + 2 * 57.5)


def test_as_much_fits_as_seldom_takes_longer():
    pace = Pace(50)  # at most 50 + 2 * 25
    assert pace.fits(1050) == 10
    assert pace.fits(-1) == 0


def test_no_units_teach_nothing():
    pace = Pace(50)
    pace.learn(10**9, 0)
    assert pace.mean_ns == 50


def test_doubt_lowers_an_estimate_until_it_is_measured_again():
    pace = Pace(64)
    pace.doubt()
    assert (pace.mean_ns, pace.most_ns) == (62, 124)
