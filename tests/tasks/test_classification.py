"""The classification task: inputs, metrics, and what it refuses."""

import pytest

from millis.data.dataset import Dataset, Split
from millis.errors import MillisError
from millis.tasks.classification import Classification


def data(text):
    split = Split([text, text], [0, 1])
    return Dataset("shop", ("a", "b"), split, split, split)


def test_token_types_are_an_input_of_pairs_alone():
    assert Classification.inputs(data("x")) == ("input_ids", "attention_mask")
    assert Classification.inputs(data(("x", "y"))) == ("input_ids", "attention_mask", "token_type_ids")


def test_scores_hold_the_metric_and_those_beside_it():
    # a: precision 1/1, recall 1/2, F1 2/3. b: precision 1/2, recall 1, F1 2/3. Accuracy 2/3.
    scores = Classification(metric="accuracy", also=["macro_f1"]).scores([0, 1, 1], [0, 0, 1], ("a", "b"))
    assert scores == {"accuracy": pytest.approx(200 / 3), "macro_f1": pytest.approx(200 / 3)}
    assert list(Classification(metric="macro_f1", also=()).scores([0], [0], ("a", "b"))) == ["macro_f1"]


def test_an_unknown_metric_is_refused():
    with pytest.raises(MillisError, match="acuracy"):
        Classification(metric="acuracy", also=()).scores([0], [0], ("a", "b"))


def test_a_text_needs_room_between_the_special_tokens():
    with pytest.raises(MillisError) as caught:
        Classification(max_length=2)
    assert str(caught.value) == "task.max_length=2: expected at least 3 (a token between two special ones)"
    assert Classification(max_length=3).max_length == 3
