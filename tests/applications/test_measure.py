"""Qualities of an application: worked by hand, and against the metrics of tasks."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from millis.applications.measure import Measure, judged, mean, share
from millis.errors import MillisError
from millis.metrics import named
from millis.metrics.bootstrap import interval


def test_a_share_is_of_the_rows_that_count():
    assert share("right", [True, False, True, True]).value == 75.0
    # Of the first three, one of which is a hit; the fourth counts for nothing.
    assert share("right", [True, False, False, True], [True, True, True, False]).value == pytest.approx(100 / 3)


def test_a_mean_has_a_unit_and_a_direction():
    found = mean("chars", [1.0, 2.0, 6.0], "characters", "lower")
    assert (found.value, found.unit, found.better) == (3.0, "characters", "lower")


def test_a_measure_without_rows_is_refused():
    with pytest.raises(MillisError, match=r"no row says anything about recall: the test rows of the corpus lack such"):
        share("recall", [True, True], [False, False])


@settings(max_examples=15)
@given(st.lists(st.booleans(), min_size=2, max_size=30))
def test_an_interval_is_within_the_range_and_around_the_value(hits):
    found = share("right", hits)
    low, high = found.interval()
    assert 0 <= low <= found.value <= high <= 100 or len(set(hits)) == 2  # of few rows a resample may miss the value
    assert found.interval() == (low, high), "the same each time"
    assert len(set(hits)) == 2 or low == high


def test_a_metric_of_tasks_is_that_metric_with_its_interval():
    answers, right = [0, 1, 1, 0, 2, 2], [0, 1, 0, 0, 2, 1]
    metric = named("macro_f1", ("a", "b", "c"))
    found = judged("f1", metric, answers, right)
    # a: 2·2/(2+3) = 0.8; b: 2·1/(2+2) = 0.5; c: 2·1/(2+1) = 2/3.
    assert found.value == pytest.approx(100 * (0.8 + 0.5 + 2 / 3) / 3)
    assert found.interval() == pytest.approx(interval(metric, answers, right))


def test_any_function_of_sums_is_a_measure():
    found = Measure("root", np.array([[9.0], [16.0]]), lambda sums: np.sqrt(sums[..., 0]), unit="")
    assert found.value == 5.0
