"""Metrics of numbers and of several labels, against SciPy, NumPy and scikit-learn."""

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from scipy.stats import pearsonr, spearmanr
from sklearn.metrics import f1_score

from millis import metrics
from millis.errors import MillisError
from millis.metrics.bootstrap import interval
from millis.metrics.contract import items, matched, plain
from millis.metrics.macro_f1 import MacroF1
from millis.metrics.micro_f1 import MicroF1
from millis.metrics.pearson import Pearson
from millis.metrics.rmse import Rmse
from millis.metrics.spearman import Spearman

PAIRS = st.lists(st.tuples(st.floats(-1e3, 1e3), st.floats(-1e3, 1e3)), min_size=3, max_size=30)
SETS = st.lists(st.tuples(*[st.sets(st.integers(0, 3))] * 2), min_size=1, max_size=20)


@given(PAIRS)
def test_correlations_are_those_of_scipy(pairs):
    answers, references = np.array(pairs).T
    assume(min(answers.std(), references.std()) > 1e-3)
    assert plain(Pearson(), answers, references) == pytest.approx(100 * pearsonr(answers, references)[0], abs=1e-4)
    assert plain(Spearman(), answers, references) == pytest.approx(100 * spearmanr(answers, references)[0], abs=1e-6)


@given(PAIRS)
def test_the_error_is_that_of_numpy(pairs):
    answers, references = np.array(pairs).T
    assert plain(Rmse(), answers, references) == pytest.approx(np.sqrt(np.mean((answers - references) ** 2)))
    assert Rmse.better == "lower"


def test_constant_answers_are_worth_nothing_and_constant_references_judge_nothing():
    constant, numbers = np.full(4, 0.1), np.arange(4.0)
    for metric in (Pearson(), Spearman()):
        assert plain(metric, constant, numbers) == 0 and np.isnan(plain(metric, numbers, constant))
    with pytest.raises(MillisError, match="pearson is undefined on these 4 references"):
        metrics.value("pearson", Pearson(), numbers, constant)


@pytest.mark.parametrize(("mean", "spread"), [(2010, 1.5), (1e6, 800), (1.7e9, 1e4), (-3, 1e-4)])
def test_a_mean_far_from_zero_takes_no_digits(mean, spread):
    rng = np.random.default_rng(0)
    answers = mean + spread * rng.normal(size=300)
    references = answers + 0.3 * spread * rng.normal(size=300)
    assert plain(Pearson(), answers, references) == pytest.approx(
        100 * np.corrcoef(answers, references)[0, 1], abs=1e-3
    )


def test_intervals_hold_the_value():
    rng = np.random.default_rng(0)
    references = rng.normal(size=200)
    answers = references + rng.normal(size=200)
    for metric in (Pearson(), Spearman(), Rmse()):
        low, high = interval(metric, answers, references, resamples=200)
        assert low < plain(metric, answers, references) < high


@given(SETS)
def test_f1_of_sets_is_that_of_scikit_learn(pairs):
    answers, references = ([tuple(sorted(one)) for one in column] for column in zip(*pairs, strict=True))
    rows = [np.array([[label in one for label in range(4)] for one in column]) for column in (references, answers)]
    found = items(answers), items(references)
    assert np.nan_to_num(plain(MicroF1(4), *found)) == pytest.approx(
        100 * f1_score(*rows, average="micro", zero_division=0)
    )
    present = [label for label in range(4) if rows[0][:, label].any() or rows[1][:, label].any()]
    if present:
        expected = 100 * f1_score(*rows, average=None, zero_division=0)[present].mean()
        assert plain(MacroF1(4), *found) == pytest.approx(expected)


def test_numbers_that_are_none_are_refused():
    with pytest.raises(MillisError, match="got answers that are no finite numbers"):
        matched([1.0, float("nan")], [1.0, 2.0])
