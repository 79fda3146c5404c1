"""What is judged, and refused, before anything is trained."""

from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import pytest
from recipes import tuning
from tiny import write_candidates, write_data

from millis.data.local import Local
from millis.errors import MillisError
from millis.metrics.accuracy import Accuracy
from millis.pipeline.inputs import read_inputs
from millis.pipeline.place import Place
from millis.pipeline.teacher import ensure_teacher
from millis.tasks.classification import Classification
from millis.tasks.ranking import Ranking


@pytest.fixture
def data(tmp_path):
    write_data(tmp_path / "data")
    return Local(str(tmp_path / "data"))


@dataclass(frozen=True)
class ErrorRate(Accuracy):
    """100 - accuracy: lower is better."""

    better: ClassVar = "lower"

    def value(self, sums: np.ndarray) -> np.ndarray:
        return 100 - super().value(sums)


def test_labels_that_a_metric_cannot_work_with_cost_no_teacher(data, tmp_path):
    intents = tuning(data=data, task=Classification(also=("out_of_scope_recall",)))
    with pytest.raises(MillisError, match=r"this metric needs one named 'oos' or 'out_of_scope'"):
        ensure_teacher(intents, Place.under(tmp_path))
    assert not (tmp_path / "cache").exists()


def test_a_source_is_read_once_whoever_names_it(data, tmp_path):
    first, again, other = (
        read_inputs(source, Classification(), tmp_path)
        for source in (data, Local(data.path), Local(data.path, limit=3))
    )
    assert again.dataset is first.dataset
    assert len(other.dataset.train) < len(first.dataset.train)
    assert other.data_fingerprint != first.data_fingerprint


def test_more_of_a_score_is_better_whichever_way_the_metric_runs(data, tmp_path, monkeypatch):
    inputs = read_inputs(data, Classification(), tmp_path)
    assert inputs.score([0, 1, 1, 1], [0, 0, 1, 1]) == 75.0
    monkeypatch.setattr("millis.metrics.kind", lambda name: ErrorRate)
    assert inputs.metric.better == "lower"
    assert inputs.score([0, 1, 1, 1], [0, 0, 1, 1]) == -25.0


def test_a_querys_candidates_are_validated_together(tmp_path):
    write_candidates(tmp_path / "asked")
    source = Local(str(tmp_path / "asked"), text="answer")
    inputs = read_inputs(source, Ranking(query="asked", metric="recall_at_1", also=[]), tmp_path)
    grades = [reference.relevance for reference in inputs.dataset.validation.references]
    unread = [0.0] * len(grades)  # targets are less their query's mean: they do not say which was the best
    assert inputs.validation_score(grades, unread) == 100.0
    assert inputs.validation_score([-grade for grade in grades], unread) == 0.0
    assert inputs.validation_score(unread, unread) == pytest.approx(100 / 3)
