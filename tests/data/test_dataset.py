"""Splits and what a data set is known by."""

from dataclasses import replace

from millis.data.dataset import Dataset, Split

ONE = Dataset("one", {"label": ("a", "b")}, Split(["x", "y"], [0, 1]), Split(["z"], [1]), Split(["w"], [0]))


def test_rows_are_taken_in_the_order_asked_for():
    assert Split(["x", "y", "z"], [0, 1, 2]).take([2, 0]) == Split(["z", "x"], [2, 0])


def test_a_fingerprint_is_of_texts_and_labels_alone():
    assert replace(ONE, name="two", notes=["said"]).fingerprint == ONE.fingerprint
    assert replace(ONE, names={"label": ("b", "a")}).fingerprint != ONE.fingerprint
    assert replace(ONE, test=Split(["w"], [1])).fingerprint != ONE.fingerprint


def test_pairs_are_told_by_the_first_text():
    assert not ONE.pairs
    assert replace(ONE, train=Split([("x", "y")], [0])).pairs


def test_token_types_are_an_input_of_pairs_alone():
    assert ONE.inputs == ("input_ids", "attention_mask")
    pairs = replace(ONE, train=Split([("x", "y")], [0]))
    assert pairs.inputs == ("input_ids", "attention_mask", "token_type_ids")
