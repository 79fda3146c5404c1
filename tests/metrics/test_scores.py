"""Metrics of scored candidates: by pencil, against scikit-learn, and against every order that ties allow."""

from itertools import groupby, permutations, product
from math import log2

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.metrics import ndcg_score

from millis import metrics
from millis.errors import MillisError
from millis.metrics.contract import items, plain
from millis.metrics.exponential_ndcg_at_10 import ExponentialNdcgAt10
from millis.metrics.mrr import Mrr
from millis.metrics.ndcg_at_10 import NdcgAt10
from millis.metrics.recall_at_1 import RecallAt1
from millis.metrics.recall_at_5 import RecallAt5

EVERY = pytest.mark.parametrize(
    "metric", [NdcgAt10(), ExponentialNdcgAt10(), Mrr(), RecallAt1(), RecallAt5()], ids=lambda one: type(one).__name__
)


def queries(most, scores=3, grades=3):
    """Scores and relevances of one query, many of them tied, not all equally relevant."""
    pairs = st.lists(st.tuples(st.integers(0, scores), st.integers(0, grades)), min_size=2, max_size=most)
    columns = pairs.map(lambda found: tuple(zip(*found, strict=True)))
    return columns.filter(lambda found: len(set(found[1])) > 1)


def of_one(metric, scores, relevance):
    return plain(metric, items([tuple(scores)]), items([tuple(relevance)]))


def orders(scores):
    """Every order of the candidates in which scores fall."""
    ranked = sorted(range(len(scores)), key=lambda row: -scores[row])
    tiers = [list(found) for _, found in groupby(ranked, key=lambda row: scores[row])]
    for parts in product(*map(permutations, tiers)):
        yield [row for part in parts for row in part]


@given(queries(14))
def test_ndcg_is_that_of_scikit_learn_which_averages_ties(query):
    scores, relevance = (np.array([column], float) for column in query)
    assert of_one(NdcgAt10(), *query) == pytest.approx(100 * ndcg_score(relevance, scores, k=10))
    assert of_one(ExponentialNdcgAt10(), *query) == pytest.approx(100 * ndcg_score(2**relevance - 1, scores, k=10))


@given(queries(6))
def test_places_are_expected_over_every_order_of_ties(query):
    scores, relevance = query
    right = [value == max(relevance) for value in relevance]
    every = list(orders(scores))
    ranks = [1 / (1 + next(place for place, row in enumerate(order) if right[row])) for order in every]
    assert of_one(Mrr(), *query) == pytest.approx(100 * np.mean(ranks))
    for metric, places in ((RecallAt1(), 1), (RecallAt5(), 5)):
        found = [sum(right[row] for row in order[:places]) / sum(right) for order in every]
        assert of_one(metric, *query) == pytest.approx(100 * np.mean(found))


@EVERY
@given(queries(8), st.randoms(use_true_random=False))
def test_the_order_of_rows_counts_for_nothing(metric, query, chance):
    rows = list(zip(*query, strict=True))
    chance.shuffle(rows)
    assert of_one(metric, *zip(*rows, strict=True)) == pytest.approx(of_one(metric, *query))


def test_by_hand():
    # Scores put the second of four first, then the fourth, the first, the third: relevances 1, 0, 3, 0.
    query = (0.2, 0.9, 0.1, 0.5), (3, 1, 0, 0)
    assert of_one(NdcgAt10(), *query) == pytest.approx(100 * (1 + 3 / log2(4)) / (3 + 1 / log2(3)))
    assert of_one(ExponentialNdcgAt10(), *query) == pytest.approx(100 * (1 + 7 / log2(4)) / (7 + 1 / log2(3)))
    assert of_one(Mrr(), *query) == pytest.approx(100 / 3)
    assert (of_one(RecallAt1(), *query), of_one(RecallAt5(), *query)) == (0, 100)


def test_ties_by_hand():
    # Three of one score, one right: at place 1, 2 or 3. Two right: the first at place 1 in 2 of 3 orders, else at 2.
    assert of_one(Mrr(), (7, 7, 7), (1, 0, 0)) == pytest.approx(100 * (1 + 1 / 2 + 1 / 3) / 3)
    assert of_one(Mrr(), (7, 7, 7), (1, 1, 0)) == pytest.approx(100 * (2 / 3 + 1 / 3 / 2))
    assert of_one(RecallAt1(), (7, 7, 7), (1, 1, 0)) == pytest.approx(100 / 3)


@EVERY
def test_scores_that_differ_by_rounding_are_tied(metric):
    relevance = (2, *[0] * 7)
    tied, near, apart = ((4.0 + step, *[4.0] * 6, 1.0) for step in (0, 1e-6, 1e-3))
    assert of_one(metric, near, relevance) == of_one(metric, tied, relevance) < of_one(metric, apart, relevance) == 100


@EVERY
def test_only_first_places_count_and_candidates_may_be_many(metric):
    right = (1, *[0] * 999)
    assert of_one(metric, range(1000, 0, -1), right) == 100
    assert of_one(metric, range(1000), right) == pytest.approx(0.1 if isinstance(metric, Mrr) else 0.0)
    assert 0 < of_one(metric, [0] * 1000, right) < 2


@EVERY
def test_queries_count_alike_and_those_without_an_order_do_not(metric):
    best, worst, none = ((2, 1), (1, 0)), ((1, 2), (1, 0)), ((1, 2), (1, 1))
    answers, references = zip(best, worst, none, strict=True)
    lowest = of_one(metric, *worst)
    assert plain(metric, items(answers), items(references)) == pytest.approx((100 + lowest) / 2)
    with pytest.raises(MillisError, match="x is undefined on these 1 references"):
        metrics.value("x", metric, [none[0]], [none[1]])


@EVERY
@pytest.mark.parametrize(("scores", "message"), [
    ((1.0, float("nan")), "got scores that are no finite numbers: the model diverged"),
    ((1.0,), "got 1 scores for a query of 2 candidates: expected as many"),
])  # fmt: skip
def test_scores_that_are_none_are_refused(metric, scores, message):
    with pytest.raises(MillisError, match=message):
        of_one(metric, scores, (1, 0))


@pytest.mark.parametrize("relevance", [0.5, 32])
def test_exponential_gains_are_of_grades(relevance):
    expected = f"takes grades, whole numbers of 0 to 31, and got {relevance:g}: choose ndcg_at_10"
    with pytest.raises(MillisError, match=expected):
        of_one(ExponentialNdcgAt10(), (1, 2), (relevance, 0))
