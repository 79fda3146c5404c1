"""Several labels a text."""

import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from millis import tasks
from millis.data.dataset import Dataset, Split
from millis.errors import MillisError
from millis.tasks.judging import judge, scores
from millis.tasks.multi_label import LabelSet, MultiLabel

LABELS = ("drama", "spy", "war")
TASK = MultiLabel(labels=LABELS)


def test_labels_above_one_half_are_answered():
    found = TASK.answer((np.array([[np.log(3), -1.0, 0.1]], np.float32),), None)
    assert found.labels == ("drama", "war") and found.value() == (0, 2)
    assert found.scores[0] == pytest.approx(0.75)
    assert found.text == "drama (0.75), war (0.52)"
    assert TASK.answer((np.full((1, 3), -1, np.float32),), None) == LabelSet((), (), ())
    assert LabelSet((), (), ()).text == "no label"


@given(st.sets(st.integers(0, 2)))
def test_perfect_logits_give_the_reference_and_the_best_of_every_metric(chosen):
    reference = tuple(sorted(chosen))
    (targets,) = TASK.references.targets(["x"], [reference], [None])
    found = TASK.answer((np.where(targets, 5.0, -5.0).astype(np.float32),), None)
    assert found.value() == reference
    if reference:
        assert set(scores(TASK, [found.value()], [reference]).values()) == {100.0}


def test_a_judgement_by_hand():
    # Right: 1 + 1; predicted: 2 + 1; true: 1 + 2. Micro F1 2 · 2 / 6. No set is right.
    found = judge(TASK, [(0, 1), (2,)], [(0,), (1, 2)])
    assert found.values == {"micro_f1": pytest.approx(200 / 3), "macro_f1": pytest.approx(200 / 3), "exact_match": 0.0}


def test_an_artifact_describes_it():
    described = json.loads(json.dumps(TASK.described()))
    assert tasks.read(described) == TASK
    assert TASK.outputs[0][:4] == ("labels", "text", 3, "each")
    assert TASK.summary == "several of 3 labels (drama, spy, war)"
    with pytest.raises(MillisError, match="labels has 'a' twice"):
        tasks.read({"name": "multi_label", "labels": ["a", "a"]})


def test_it_learns_labels_from_data():
    split = Split(["x"], [(0,)])
    learned = MultiLabel().learned(Dataset("toy", {"label": LABELS}, split, split, split))
    assert learned == TASK and learned.references.width == 3


@pytest.mark.parametrize(("settings", "message"), [
    ({"max_length": 1}, "task.max_length=1: expected at least 3"),
    ({"metric": "accuracy", "labels": LABELS}, "task.metric=accuracy judges label, and this task answers labels"),
])  # fmt: skip
def test_what_cannot_be_is_refused(settings, message):
    with pytest.raises(MillisError, match=message):
        MultiLabel(**settings).metrics()
