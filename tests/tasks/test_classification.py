"""The classification task: inputs, metrics, and what it refuses."""

import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from millis import tasks
from millis.data.dataset import Dataset, Split
from millis.errors import MillisError
from millis.metrics.accuracy import Accuracy
from millis.metrics.bootstrap import interval
from millis.record import Judged
from millis.tasks.classification import WIDE, Classification, Label
from millis.tasks.judging import judge, scores


def test_scores_hold_the_metric_and_those_beside_it():
    # a: precision 1/1, recall 1/2, F1 2/3. b: precision 1/2, recall 1, F1 2/3. Accuracy 2/3.
    found = scores(Classification(also=["macro_f1"], labels=("a", "b")), [0, 1, 1], [0, 0, 1])
    assert found == {"accuracy": pytest.approx(200 / 3), "macro_f1": pytest.approx(200 / 3)}
    assert list(scores(Classification(metric="macro_f1", also=(), labels=("a", "b")), [0], [0])) == ["macro_f1"]


def test_a_judgement_has_value_interval_and_reading():
    task = Classification(metric="accuracy", also=["macro_f1"], labels=("a", "b"))
    found = judge(task, [0, 1, 1, 0], [0, 0, 1, 0])
    assert found.values == scores(task, [0, 1, 1, 0], [0, 0, 1, 0])
    assert found.intervals["accuracy"] == interval(Accuracy(), [0, 1, 1, 0], [0, 0, 1, 0])
    assert found.judged == {"accuracy": Judged(), "macro_f1": Judged(settings={"classes": 2})}


def test_labels_that_a_metric_cannot_work_with_are_refused():
    split = Split(["x", "y"], [0, 1])
    dataset = Dataset("shop", {"label": ("a", "b")}, split, split, split)
    assert Classification().learned(dataset) == Classification(labels=("a", "b"))
    with pytest.raises(MillisError, match=r"got the labels \[a, b\]; this metric needs one named 'oos'"):
        Classification(also=["out_of_scope_recall"]).learned(dataset)


def test_an_unknown_metric_is_refused():
    with pytest.raises(MillisError, match="acuracy"):
        scores(Classification(metric="acuracy", also=(), labels=("a", "b")), [0], [0])


def test_a_text_needs_room_between_the_special_tokens():
    with pytest.raises(MillisError) as caught:
        Classification(max_length=2)
    assert str(caught.value) == "task.max_length=2: expected at least 3 (a token between two special ones)"
    assert Classification(max_length=3).max_length == 3


def test_an_answer_by_hand():
    # softmax of (ln 1, ln 3, ln 2) is (1/6, 3/6, 2/6).
    logits = np.log(np.array([[1, 3, 2]], dtype=np.float32))
    answer = Classification(labels=("low", "high", "middle")).answer((logits,), None)
    assert answer == Label("high", 1, pytest.approx(0.5))
    assert (answer.text, answer.value()) == ("high (0.50)", 1)


@pytest.mark.parametrize("count", [3, WIDE])
def test_far_out_of_the_range_of_exp(count):
    """exp(1000) overflows, exp(-2000) is 0."""
    logits = np.array([[-1000.0, 1000.0, *[0.0] * (count - 2)]], dtype=np.float32)
    assert Classification(labels=tuple(map(str, range(count)))).answer((logits,), None) == Label("1", 1, 1.0)


@given(st.lists(st.floats(-50, 50, width=32), min_size=2, max_size=2 * WIDE))
def test_answers_agree_with_softmax_in_double_precision(logits):
    task = Classification(labels=tuple(map(str, range(len(logits)))))
    answer = task.answer((np.array([logits], dtype=np.float32),), None)
    exponentials = np.exp(np.array(logits))
    assert answer.index == np.argmax(logits)
    assert answer.score == pytest.approx(exponentials.max() / exponentials.sum(), rel=1e-6)


def test_what_an_artifact_says_of_it_makes_it_again():
    task = Classification(metric="macro_f1", max_length=16, labels=("no", "yes"))
    described = json.loads(json.dumps(task.described()))
    assert tasks.read(described) == Classification(labels=("no", "yes"))
    assert tasks.read(described).described() == described
    assert task.summary == "2 labels (no, yes)"
    assert Classification(labels=("a", "b", "c", "d")).summary == "4 labels (a, b, c, ...)"
