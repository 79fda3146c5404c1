"""A number for a text."""

import json

import numpy as np
import pytest

from millis import tasks
from millis.data.dataset import Dataset, Split
from millis.errors import MillisError
from millis.tasks.judging import judge
from millis.tasks.regression import Number, Regression

TASK = Regression(mean=10.0, deviation=2.0)


def test_the_output_is_answered_in_the_datas_unit():
    found = TASK.answer((np.array([[1.5]], np.float32),), None)
    assert found == Number(13.0) and found.value() == 13.0 and found.text == "13"


def test_perfect_outputs_give_the_reference():
    (targets,) = TASK.references.targets(["x"], [7.25], [None])
    assert TASK.answer((targets[:, None],), None).number == pytest.approx(7.25)


def test_it_learns_mean_and_deviation_from_training_rows():
    train, other = Split(["x", "y"], [8.0, 12.0]), Split(["z"], [100.0])
    assert Regression().learned(Dataset("toy", {}, train, other, other)) == TASK
    same = Split(["x", "y"], [3.0, 3.0])
    with pytest.raises(MillisError, match="toy: every training row has the number 3: expected several"):
        Regression().learned(Dataset("toy", {}, same, other, other))


def test_an_artifact_describes_it():
    described = json.loads(json.dumps(TASK.described()))
    assert tasks.read(described) == TASK
    assert TASK.outputs[0][:4] == ("number", "text", 1, "value") and TASK.summary == "a number (10 ± 2)"
    with pytest.raises(MillisError, match="deviation is 0"):
        tasks.read({"name": "regression", "mean": 1.0, "deviation": 0.0})


def test_models_of_other_rows_answer_the_same_question():
    assert TASK.identity == Regression(mean=1.0, deviation=3.0).identity != TASK.described()


def test_a_judgement_by_hand():
    found = judge(TASK, [1.0, 2.0, 4.0], [1.0, 2.0, 3.0])
    assert found.values == {
        "pearson": pytest.approx(100 * 3 / np.sqrt(2 * 14 / 3)), "spearman": 100.0,
        "rmse": pytest.approx(np.sqrt(1 / 3)),
    }  # fmt: skip


@pytest.mark.parametrize(("settings", "message"), [
    ({"max_length": 1}, "task.max_length=1: expected at least 3"),
    ({"metric": "accuracy"}, "task.metric=accuracy judges label, and this task answers number a text"),
])  # fmt: skip
def test_what_cannot_be_is_refused(settings, message):
    with pytest.raises(MillisError, match=message):
        Regression(**settings).metrics()
