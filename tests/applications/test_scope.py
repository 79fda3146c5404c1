"""Thresholds by a pencil."""

import pytest

from millis.applications.scope import OUTSIDE, least_confidence


@pytest.mark.parametrize(("acceptance", "least"), [(1.0, 0.1), (0.75, 0.1), (0.5, 0.3), (0.1, 0.5)])
def test_a_share_is_accepted(acceptance, least):
    assert least_confidence([0.9, 0.1, 0.5, 0.3], acceptance) == least


def test_both_names_are_out_of_scope():
    assert {"oos", "out_of_scope"} == OUTSIDE
