"""What is judged, and refused, before anything is trained."""

from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import pytest
from tiny import write_candidates, write_data

from millis.cli.hydra_app import composed
from millis.cli.pipeline.inputs import load_inputs
from millis.cli.pipeline.study import check_direction
from millis.cli.pipeline.teacher import ensure_teacher
from millis.errors import MillisError
from millis.metrics.accuracy import Accuracy


@pytest.fixture
def config(tmp_path):
    write_data(tmp_path / "data")
    return lambda *overrides: composed("sweep", ["data=local", f"data.path={tmp_path / 'data'}", *overrides])


@dataclass(frozen=True)
class ErrorRate(Accuracy):
    """100 - accuracy: lower is better."""

    better: ClassVar = "lower"

    def value(self, sums: np.ndarray) -> np.ndarray:
        return 100 - super().value(sums)


def test_labels_that_a_metric_cannot_work_with_cost_no_teacher(config):
    with pytest.raises(MillisError, match=r"this metric needs one named 'oos' or 'out_of_scope'"):
        ensure_teacher(config("task=intent"))


def test_more_of_a_score_is_better_whichever_way_the_metric_runs(config, monkeypatch):
    inputs = load_inputs(config())
    assert inputs.score([0, 1, 1, 1], [0, 0, 1, 1]) == 75.0
    monkeypatch.setattr("millis.metrics.kind", lambda name: ErrorRate)
    assert inputs.metric.better == "lower"
    assert inputs.score([0, 1, 1, 1], [0, 0, 1, 1]) == -25.0


def test_a_querys_candidates_are_validated_together(tmp_path):
    write_candidates(tmp_path / "asked")
    inputs = load_inputs(
        composed("sweep", [
            "task=ranking", "data=local", f"data.path={tmp_path / 'asked'}", "data.text=answer", "task.query=asked",
            "task.metric=recall_at_1", "task.also=[]",
        ])
    )  # fmt: skip
    grades = [reference.relevance for reference in inputs.dataset.validation.references]
    unread = [0.0] * len(grades)  # targets are less their query's mean: they do not say which was the best
    assert inputs.validation_score(grades, unread) == 100.0
    assert inputs.validation_score([-grade for grade in grades], unread) == 0.0
    assert inputs.validation_score(unread, unread) == pytest.approx(100 / 3)


def test_a_search_for_the_worse_quality_is_refused(config):
    check_direction(config(), "higher")
    check_direction(config("~study.directions.quality", "+study.directions.size_bytes=minimize"), "lower")
    with pytest.raises(MillisError) as caught:
        check_direction(config(), "lower")
    assert str(caught.value) == (
        "study.directions.quality=maximize, but of accuracy lower is better: expected minimize"
    )
