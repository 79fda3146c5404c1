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
from millis.metrics.mrr_at_10 import MrrAt10
from millis.metrics.ndcg_at_10 import NdcgAt10
from millis.metrics.recall_at_1 import RecallAt1
from millis.metrics.recall_at_5 import RecallAt5

EVERY = pytest.mark.parametrize(
    "metric",
    [NdcgAt10(), ExponentialNdcgAt10(), Mrr(), MrrAt10(), RecallAt1(), RecallAt5()],
    ids=lambda one: type(one).__name__,
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
    assert of_one(Mrr(), *query) == of_one(MrrAt10(), *query) == pytest.approx(100 * np.mean(ranks))
    for metric, places in ((RecallAt1(), 1), (RecallAt5(), 5)):
        found = [sum(right[row] for row in order[:places]) / sum(right) for order in every]
        assert of_one(metric, *query) == pytest.approx(100 * np.mean(found))


@given(st.integers(5, 12), queries(5))
def test_the_first_ten_places_are_expected_over_every_order_of_ties(wrong, query):
    scores, relevance = (*range(100, 100 - wrong, -1), *query[0]), (*[0] * wrong, *query[1])
    right = [value == max(relevance) for value in relevance]
    places = [1 + next(place for place, row in enumerate(order) if right[row]) for order in orders(scores)]
    expected = np.mean([1 / place if place <= 10 else 0 for place in places])
    assert of_one(MrrAt10(), scores, relevance) == pytest.approx(100 * expected)


@pytest.mark.parametrize(("place", "expected"), [(1, 100), (9, 100 / 9), (10, 10), (11, 0), (12, 0)])
def test_beyond_the_tenth_place_is_nothing(place, expected):
    relevance = [0] * 12
    relevance[place - 1] = 1
    assert of_one(MrrAt10(), range(12, 0, -1), relevance) == pytest.approx(expected)
    assert of_one(Mrr(), range(12, 0, -1), relevance) == pytest.approx(100 / place)


def test_ties_across_the_tenth_place_by_hand():
    # Nine are before two of one score, one of them right: at place 10 in half of the orders, else at 11.
    assert of_one(MrrAt10(), (*range(20, 11, -1), 1, 1), (*[0] * 9, 0, 1)) == pytest.approx(100 / 10 / 2)
    # All of 20 are tied: the mean of 1 / place, of ten places among 20.
    harmonic = sum(1 / place for place in range(1, 11))
    assert of_one(MrrAt10(), [0] * 20, (1, *[0] * 19)) == pytest.approx(100 * harmonic / 20)


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
    assert of_one(metric, range(1000), right) == pytest.approx(0.1 if type(metric) is Mrr else 0.0)
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
