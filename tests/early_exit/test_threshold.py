"""The threshold of a stated drop, and the bound: against SciPy, by hand, and by drawing."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import beta

from millis.early_exit.threshold import accuracy_drop_bound, choose, leaving, lower_limit, upper_limit
from millis.errors import MillisError


def accuracy(predictions, references):
    return 100 * float(np.mean(np.asarray(predictions) == np.asarray(references)))


def sure(label, odds):
    """Logits of two labels at `odds` : 1 for `label`."""
    row = [0.0, 0.0]
    row[label] = float(np.log(odds))
    return row


# Ten texts, all of label 1, all right at the last exit. The first exit is sure and right of 6, sure and wrong of 1
# (both at 999 : 1), and says little of 3.
FIRST = [*[sure(1, 999.0)] * 6, sure(0, 999.0), *[sure(1, 1.1)] * 3]
LOGITS = np.array([FIRST, [sure(1, 99.0)] * 10], np.float32)
TRUTH = [1] * 10


def chosen(quality_drop, logits=LOGITS, policy="maximum_probability"):
    return choose(policy, logits, TRUTH, [2, 6], accuracy, quality_drop, 0.95)


def test_texts_leave_where_the_first_exit_is_sure():
    assert leaving("maximum_probability", 0.99, LOGITS).tolist() == [0] * 7 + [1] * 3


def test_the_loosest_threshold_within_the_drop_is_taken():
    found = chosen(quality_drop=10)
    # At 0.437659 and below everyone leaves: one of ten wrong is 10 points, and 4 of 6 layers are saved.
    assert found.quality_drop == pytest.approx(10)
    assert found.saving_share == pytest.approx(4 / 6)
    assert found.threshold == pytest.approx(1 - 10 ** (-1 / 4), abs=1e-6)  # the strictest of those that save as much


def test_no_threshold_within_the_drop_is_refused():
    with pytest.raises(
        MillisError,
        match=r"keeps early_exit.quality_drop=5 on 10 validation texts: the nearest loses 10.00 points and saves 67%",
    ):
        chosen(quality_drop=5)


def test_a_policy_that_lets_nobody_leave_is_refused():
    with pytest.raises(MillisError, match="lets one of 10 validation texts leave before the last exit"):
        chosen(quality_drop=5, policy="patience")


@given(st.integers(0, 40), st.integers(1, 40), st.floats(0.001, 0.4))
def test_limits_are_clopper_and_pearsons(successes, more, risk):
    trials = successes + more
    assert upper_limit(successes, trials, risk) == pytest.approx(beta.ppf(1 - risk, successes + 1, more), abs=1e-9)
    expected = beta.ppf(risk, successes, more + 1) if successes else 0.0
    assert lower_limit(successes, trials, risk) == pytest.approx(expected, abs=1e-9)


def test_the_bound_without_an_error_is_the_rule_of_three():
    # (1 - p)^N = δ / 2 with N = 300, δ = 0.1: p = 1 - 0.05^(1/300) = 0.993 %, about 3 / N
    everything = np.ones(300, bool)
    assert accuracy_drop_bound(everything, everything, 0.1) == pytest.approx(100 * (1 - 0.05 ** (1 / 300)), abs=1e-6)


def test_what_is_won_counts_against_what_is_lost():
    full = np.array([True] * 900 + [False] * 100)
    worse, mixed = full.copy(), full.copy()
    worse[:20] = mixed[:20] = False
    mixed[900:960] = True
    assert accuracy_drop_bound(mixed, full, 0.05) < 0 < accuracy_drop_bound(worse, full, 0.05)


def test_the_bound_holds_as_often_as_it_says():
    # 3 % lost, 1 % won: a true drop of 2 points; 500 splits of 400 texts, at most 10 % of the bounds may lie below.
    draws = np.random.default_rng(0).random((500, 400))
    full, early = draws > 0.11, (draws > 0.14) | (draws < 0.01)
    below = np.mean([accuracy_drop_bound(e, f, 0.1) < 2 for e, f in zip(early, full, strict=True)])
    assert below <= 0.1
