"""The package's entry points: every shipped metric found by its file, checked input, and the bridge to `evaluate`."""

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from millis import metrics
from millis.errors import MillisError

LABELS = ["book", "cancel", "oos"]
PREDICTIONS, REFERENCES = [0, 1, 2, 0, 2, 1], [0, 1, 1, 1, 2, 2]


@pytest.fixture(autouse=True)
def offline(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")


def test_every_file_with_a_function_of_its_name_is_a_metric() -> None:
    assert metrics.shipped() == (
        "accuracy",
        "in_scope_accuracy",
        "macro_accuracy",
        "macro_f1",
        "matthews",
        "out_of_scope_recall",
    )


@pytest.mark.parametrize("name", metrics.shipped())
def test_load_score_and_scorer_are_the_same_function(name: str) -> None:
    value = metrics.score(name, PREDICTIONS, REFERENCES, LABELS)
    assert metrics.scorer(name, LABELS)(np.array(PREDICTIONS), np.array(REFERENCES)) == value
    metric = metrics.load(name, labels=LABELS)
    assert metric.compute(predictions=PREDICTIONS, references=REFERENCES) == {name: value}
    assert metric.name == name
    assert metric.description and metric.inputs_description


def test_batches_added_one_by_one_give_what_all_at_once_gives() -> None:
    metric = metrics.load("macro_f1")
    for start in (0, 2, 4):
        metric.add_batch(predictions=PREDICTIONS[start : start + 2], references=REFERENCES[start : start + 2])
    assert metric.compute() == {"macro_f1": metrics.score("macro_f1", PREDICTIONS, REFERENCES)}


def test_shipped_metrics_combine_like_the_librarys_own() -> None:
    import evaluate

    combined = evaluate.combine([metrics.load("accuracy"), metrics.load("matthews")])
    assert combined.compute(predictions=PREDICTIONS, references=REFERENCES) == {
        name: metrics.score(name, PREDICTIONS, REFERENCES) for name in ("accuracy", "matthews")
    }


def test_computing_leaves_no_file_behind(tmp_path: Path) -> None:
    metric = metrics.load("accuracy", cache_dir=str(tmp_path))
    assert metric.compute(predictions=[0, 1], references=[0, 0]) == {"accuracy": 50.0}
    assert not [path for path in tmp_path.rglob("*") if path.is_file()]


def test_scoring_and_the_bootstrap_import_neither_evaluate_nor_torch() -> None:
    code = (
        "import sys; from millis import metrics; from millis.metrics import bootstrap; "
        "bootstrap.interval(metrics.scorer('accuracy'), [0, 1], [0, 0]); metrics.score('macro_f1', [0, 1], [0, 0]); "
        "assert not {'evaluate', 'datasets', 'torch', 'sklearn'} & set(sys.modules)"
    )
    source = str(Path(metrics.__file__).parents[2])
    subprocess.run([sys.executable, "-c", code], check=True, env={**os.environ, "PYTHONPATH": source})


def test_a_misspelled_metric_is_told_the_nearest() -> None:
    with pytest.raises(MillisError) as error:
        metrics.load("acuracy")
    text = str(error.value)
    assert text.startswith("cannot load the metric 'acuracy' (Couldn't find")
    assert "expected one that ships with millis (accuracy, in_scope_accuracy, macro_accuracy, macro_f1, " in text
    assert "did you mean 'accuracy'?" in text
    assert "run once with network access, or give the path of a folder with the metric's script" in text


def write_metric(folder: Path, result: str) -> str:
    folder.mkdir()
    (folder / f"{folder.name}.py").write_text(
        "import datasets\n"
        "import evaluate\n"
        "class HalfRight(evaluate.Metric):\n"
        "    def _info(self):\n"
        "        index = datasets.Value('int64')\n"
        "        features = datasets.Features({'predictions': index, 'references': index})\n"
        "        return evaluate.MetricInfo(description='', citation='', inputs_description='', features=features)\n"
        "    def _compute(self, predictions, references):\n"
        f"        return {result}\n"
    )
    return str(folder)


def test_a_metric_from_a_folder_scores_in_its_own_unit(tmp_path: Path) -> None:
    name = write_metric(tmp_path / "half_right", "{'half_right': 0.5, 'support': len(references)}")
    assert metrics.load(name).compute(predictions=[0], references=[0]) == {"half_right": 0.5, "support": 1}
    assert metrics.score(name, [0], [0]) == 0.5


def test_a_metric_with_several_nameless_values_is_refused(tmp_path: Path) -> None:
    name = write_metric(tmp_path / "two_values", "{'precision': 0.5, 'recall': 0.5}")
    with pytest.raises(MillisError, match=r"gives 2 values \(precision, recall\); expected one, or one named"):
        metrics.score(name, [0], [0])


@pytest.mark.parametrize("name", ["in_scope_accuracy", "out_of_scope_recall"])
def test_labels_that_a_metric_cannot_work_with_are_refused_when_it_is_made(name: str) -> None:
    for make in (metrics.load, metrics.scorer):
        with pytest.raises(MillisError, match=r"got the labels \[no, yes\]; this metric needs one named 'oos'"):
            make(name, ["no", "yes"])


def test_a_metric_without_items_to_take_it_over_says_so() -> None:
    with pytest.raises(MillisError, match="out_of_scope_recall is undefined on these 2 references: they hold none"):
        metrics.score("out_of_scope_recall", [0, 1], [0, 1], LABELS)


@pytest.mark.parametrize(
    ("predictions", "references", "text"),
    [
        ([], [], "got no predictions; expected one label index a text. Is the split empty?"),
        (
            [0, 1],
            [0],
            "got 2 predictions for 1 references; expected as many of one as of the other. "
            "Predict every text of the split, in order",
        ),
        (
            [0.5, 1.0],
            [0, 1],
            "got predictions of shape (2,) and type float64; expected one whole number a text, [N]. "
            "Pass label indices (the argmax of the logits), not label names or scores",
        ),
        (
            [[0, 1]],
            [0, 1],
            "got predictions of shape (1, 2) and type int64; expected one whole number a text, [N]. "
            "Pass label indices (the argmax of the logits), not label names or scores",
        ),
        ([0, 3], [0, 1], "got 3 among the predictions; expected label indices 0..2. Check the label column"),
        ([0, 1], [0, -100], "got -100 among the references; expected label indices 0..2. Check the label column"),
    ],
)
def test_input_that_is_not_label_indices_is_refused(predictions: list[int], references: list[int], text: str) -> None:
    with pytest.raises(MillisError) as error:
        metrics.score("accuracy", predictions, references, LABELS)
    assert str(error.value) == text
    with pytest.raises(MillisError) as error:
        metrics.load("accuracy", labels=LABELS).compute(predictions=predictions, references=references)
    assert str(error.value) == text
