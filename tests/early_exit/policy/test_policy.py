"""Policies, by hand: two labels at 9 : 1, exits that agree or not."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from millis.early_exit import policy as policies
from millis.early_exit.policy import entropy, maximum_probability, patience
from millis.errors import MillisError

NINE_TO_ONE = np.array([[[math.log(9), 0.0], [0.0, 0.0]]], np.float32)  # [1, 2, 2]


def labels(*rows):
    """Logits of exits that give these labels, one list an exit: [E, B, 3]."""
    return np.eye(3, dtype=np.float32)[np.array(rows)]


def test_entropy_is_one_less_its_share_of_the_largest():
    # H = 0.9 ln(1 / 0.9) + 0.1 ln 10 = 0.0948 + 0.2303 = 0.3251 nats; ln 2 = 0.6931
    assert entropy.score(NINE_TO_ONE) == pytest.approx([1 - 0.32508 / 0.69315, 0.0], abs=1e-4)


def test_entropy_of_a_certain_answer_is_finite():
    assert entropy.score(np.array([[[80.0, 0.0, -1000.0]]], np.float32)) == pytest.approx([1.0])


def test_maximum_probability_is_the_largest():
    assert maximum_probability.score(NINE_TO_ONE) == pytest.approx([0.9, 0.5])


def test_the_last_exit_alone_is_read_by_scores_of_confidence():
    stacked = np.concatenate([NINE_TO_ONE[:, ::-1], NINE_TO_ONE])
    for policy in (entropy, maximum_probability):
        assert policy.score(stacked).tolist() == policy.score(NINE_TO_ONE).tolist()


def test_patience_counts_agreement_without_a_break():
    exits = labels([0, 1, 2, 0], [0, 0, 1, 1], [0, 0, 2, 1])
    assert patience.score(exits).tolist() == [2, 1, 0, 1]
    assert patience.score(exits[:1]).tolist() == [0, 0, 0, 0]


def test_patience_needs_two_exits():
    assert patience.thresholds(4) == (3.0, 2.0, 1.0)
    assert patience.thresholds(1) == ()


@pytest.mark.parametrize("name", policies.names())
def test_thresholds_go_from_strict_to_loose_and_a_stricter_one_lets_fewer_leave(name):
    thresholds = policies.named(name).thresholds(5)
    assert list(thresholds) == sorted(set(thresholds), reverse=True)
    scores = policies.named(name).score(np.random.default_rng(0).normal(size=(3, 200, 4)).astype(np.float32) * 3)
    shares = [float((scores >= threshold).mean()) for threshold in thresholds]
    assert shares == sorted(shares)
    assert shares[-1] > shares[0]


@given(st.integers(2, 6), st.integers(0, 1000))
def test_confidence_lies_between_its_ends(classes, seed):
    logits = np.random.default_rng(seed).normal(size=(2, 7, classes)).astype(np.float32) * 5
    assert ((entropy.score(logits) >= -1e-6) & (entropy.score(logits) <= 1)).all()
    probability = maximum_probability.score(logits)
    assert ((probability >= 1 / classes - 1e-6) & (probability <= 1)).all()


def test_an_unknown_policy_is_named_with_its_nearest():
    with pytest.raises(
        MillisError, match=r"expected one of entropy, maximum_probability, patience \(did you mean 'entr"
    ):
        policies.named("entropi")
