"""Span F1, against seqeval."""

import warnings

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from seqeval.metrics import f1_score

from millis import metrics
from millis.metrics.contract import items, plain, weighted
from millis.metrics.span_f1 import SpanF1

TAGS = ("O", "B-city", "I-city", "B-day", "I-day")
METRIC = SpanF1.of(TAGS)


def split(longest=6):
    pairs = st.integers(1, longest).flatmap(
        lambda words: st.tuples(*[st.lists(st.integers(0, len(TAGS) - 1), min_size=words, max_size=words)] * 2)
    )
    return st.lists(pairs, min_size=1, max_size=6)


def test_by_hand():
    # Found: city 0-2, day 3-4, day 5-6. True: city 0-2, city 3-4, day 5-6. Two of three are right: F1 2·2/(3 + 3).
    answers, references = [(1, 2, 0, 3, 0, 3)], [(1, 2, 0, 1, 0, 3)]
    assert METRIC.statistics(items(answers), items(references)).tolist() == [[2, 3, 3]]
    assert plain(METRIC, items(answers), items(references)) == pytest.approx(200 / 3)


def test_a_span_with_another_end_is_wrong():
    assert plain(METRIC, items([(1, 0)]), items([(1, 2)])) == 0


def test_without_spans_it_is_undefined():
    assert np.isnan(plain(METRIC, items([(0, 0)]), items([(0, 0)])))


@given(split())
def test_it_is_that_of_seqeval(pairs):
    answers, references = map(list, zip(*pairs, strict=True))
    names = [[[TAGS[tag] for tag in row] for row in rows] for rows in (references, answers)]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # where a kind is never found
        expected = 100 * f1_score(*names)
    assert np.nan_to_num(plain(METRIC, items(answers), items(references))) == pytest.approx(expected)


@given(split(), st.randoms())
def test_a_text_drawn_twice_counts_twice(pairs, random):
    answers, references = (items(list(rows)) for rows in zip(*pairs, strict=True))
    counts = np.array([[random.randint(0, 2) for _ in pairs]], float)
    drawn = np.repeat(np.arange(len(pairs)), counts[0].astype(int))
    repeated = plain(METRIC, answers[drawn], references[drawn]) if len(drawn) else np.nan
    assert weighted(METRIC, answers, references, counts)[0] == pytest.approx(repeated, nan_ok=True)


def test_records_hold_what_it_knows():
    assert metrics.judged({"span_f1": METRIC})["span_f1"].settings == {"tags": list(TAGS)}
