"""Spans of tags, by seqeval's definition."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from seqeval.metrics.sequence_labeling import get_entities

from millis.errors import MillisError
from millis.metrics.tags import OverTags, broken, is_scheme, parted, spans

TAGS = ["O", *(f"{prefix}-{kind}" for prefix in "BIES" for kind in ("city", "day", "x-y"))]


def spans_of(text):
    return spans([parted(tag) for tag in text.split()])


def test_a_span_goes_from_its_beginning_to_its_end():
    assert spans_of("O B-city I-city O B-day") == [("city", 1, 3), ("day", 4, 5)]
    assert spans_of("B-city B-city I-city") == [("city", 0, 1), ("city", 1, 3)]
    assert spans_of("B-city E-city S-day") == [("city", 0, 2), ("day", 2, 3)]
    assert spans_of("O O") == spans([]) == []


def test_what_breaks_the_scheme_begins_a_span():
    assert spans_of("I-city I-city O I-day") == [("city", 0, 2), ("day", 3, 4)]
    assert spans_of("B-city I-day") == [("city", 0, 1), ("day", 1, 2)]


@given(st.lists(st.sampled_from(TAGS), max_size=12))
def test_spans_are_those_of_seqeval(tags):
    expected = [(kind, first, last + 1) for kind, first, last in get_entities(tags)]
    assert spans([parted(tag) for tag in tags]) == expected


@pytest.mark.parametrize(("tags", "is_broken"), [
    ("O B-city I-city", False), ("B-city E-city S-day", False), ("I-city", True), ("O I-city", True),
    ("B-city I-day", True), ("S-city I-city", True), ("B-city B-city", False),
])  # fmt: skip
def test_a_span_that_has_not_begun_is_noticed(tags, is_broken):
    assert broken([parted(tag) for tag in tags.split()]) is is_broken


def test_plain_tags_are_no_scheme():
    assert is_scheme(["O", "B-city", "I-city"]) and is_scheme(["O"])
    assert not is_scheme(["NOUN", "VERB"]) and not is_scheme(["B-"]) and not is_scheme(["O", "B"])


@pytest.mark.parametrize("tag", ["NOUN", "B-", "-city", "BI-city", "b-city", ""])
def test_other_tags_are_refused_with_advice(tag):
    with pytest.raises(MillisError, match=f"tag {tag!r} is no part of a span: .* leave span_f1 and slot_f1 out of"):
        OverTags.of(["O", tag])
