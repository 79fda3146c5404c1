"""Texts in two splits, and texts with two labels."""

import pytest

from millis.data.dataset import Split
from millis.data.one_label import ONE_LABEL
from millis.data.overlaps import has_words, overlap_notes

TRAIN = Split(["one", "two", ""], [0, 1, 0])


def test_texts_of_other_splits_that_training_has():
    validation, test = Split([" one", "x", ""], [0, 0, 1]), Split(["two\n", "two"], [1, 1])
    assert overlap_notes(TRAIN, validation, test, cut=False, group=ONE_LABEL.group) == [
        "1 of 3 validation texts also occur in train",
        "2 of 2 test texts also occur in train",
    ]


def test_what_was_cut_for_validation_is_still_training_data_to_the_test():
    validation, test = Split(["x"], [0]), Split(["x", "y"], [0, 1])
    assert overlap_notes(TRAIN, validation, test, cut=True, group=ONE_LABEL.group) == [
        "1 of 2 test texts also occur in train"
    ]


def test_texts_of_the_test_that_validation_has():
    validation, test = Split(["x", "y", ""], [0, 0, 0]), Split(["x ", "y", "z", ""], [0, 0, 0, 0])
    assert overlap_notes(TRAIN, validation, test, cut=False, group=ONE_LABEL.group) == [
        "2 of 4 test texts also occur in validation"
    ]


@pytest.mark.parametrize("twin", ["ONE  two", "one\ttwo", "One\u00a0two\n"])
def test_case_and_blanks_make_no_other_text(twin):
    split = Split([twin], [1])
    notes = overlap_notes(Split(["one two"], [0]), Split(["x"], [0]), split, cut=False, group=ONE_LABEL.group)
    assert notes == ["1 of 1 test texts also occur in train", "texts that occur with two answers or more: 1"]
    pair = Split([(twin, "A  b")], [0])
    assert overlap_notes(
        Split([("one two", "a b")], [0]), pair, Split([("x", "y")], [0]), cut=False, group=ONE_LABEL.group
    ) == ["1 of 1 validation texts also occur in train"]


def test_texts_with_two_labels_are_counted_once():
    other = Split(["x", "x", "x", "y"], [0, 1, 0, 1])
    assert overlap_notes(TRAIN, other, Split(["z"], [0]), cut=False, group=ONE_LABEL.group) == [
        "texts that occur with two answers or more: 1"
    ]


def test_pairs_are_compared_as_pairs():
    train, test = Split([("a", "b")], [0]), Split([("a ", "b"), ("b", "a"), ("", " ")], [0, 0, 0])
    assert (
        overlap_notes(train, test, test, cut=False, group=ONE_LABEL.group)[1] == "1 of 3 test texts also occur in train"
    )
    assert [has_words(text) for text in ("x", " ", ("", "x"), ("", "\t"))] == [True, False, True, False]


def test_a_text_may_be_right_for_one_query_and_wrong_for_another():
    train = Split(["x", "x", "x"], [(0, 1), (1, 0), (1, 2)])
    notes = overlap_notes(train, Split([], []), Split([], []), cut=False, group=lambda reference: reference[0])
    assert notes == ["texts that occur with two answers or more: 1"]
    one_answer = Split(["x", "x"], [(0, 1), (1, 0)])
    assert not overlap_notes(one_answer, Split([], []), Split([], []), cut=False, group=lambda reference: reference[0])
