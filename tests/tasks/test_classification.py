"""The classification task: inputs, metrics, and what it refuses."""

import pytest

from millis.data.dataset import Dataset, Split
from millis.errors import MillisError
from millis.metrics.accuracy import Accuracy
from millis.metrics.bootstrap import interval
from millis.record import Judged
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


def test_a_judgement_has_value_interval_and_reading():
    task = Classification(metric="accuracy", also=["macro_f1"])
    found = task.judge([0, 1, 1, 0], [0, 0, 1, 0], ("a", "b"))
    assert found.values == task.scores([0, 1, 1, 0], [0, 0, 1, 0], ("a", "b"))
    assert found.intervals["accuracy"] == interval(Accuracy(), [0, 1, 1, 0], [0, 0, 1, 0])
    assert found.judged == {"accuracy": Judged(), "macro_f1": Judged(settings={"classes": 2})}


def test_labels_that_a_metric_cannot_work_with_are_refused():
    with pytest.raises(MillisError, match=r"got the labels \[a, b\]; this metric needs one named 'oos'"):
        Classification(also=["out_of_scope_recall"]).metrics(("a", "b"))


def test_an_unknown_metric_is_refused():
    with pytest.raises(MillisError, match="acuracy"):
        Classification(metric="acuracy", also=()).scores([0], [0], ("a", "b"))


def test_a_text_needs_room_between_the_special_tokens():
    with pytest.raises(MillisError) as caught:
        Classification(max_length=2)
    assert str(caught.value) == "task.max_length=2: expected at least 3 (a token between two special ones)"
    assert Classification(max_length=3).max_length == 3
