"""The package's entry points: every shipped metric found by its file, checked input, and the bridge to `evaluate`."""

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from millis import metrics
from millis.errors import MillisError
from millis.metrics import bootstrap
from millis.metrics.contract import AnyMetric, plain
from millis.metrics.macro_f1 import MacroF1
from millis.record import Judged, Record

LABELS = ["book", "cancel", "oos"]
TAGS = ["O", "B-city", "I-city"]
PREDICTIONS, REFERENCES = [0, 1, 2, 0, 2, 1], [0, 1, 1, 1, 2, 2]
OF_LABELS = [name for name in metrics.shipped() if "label" in metrics.kind(name).judges]
OF_OTHERS = [name for name in metrics.shipped() if name not in OF_LABELS]


def made(name: str) -> AnyMetric:
    return metrics.named(name, LABELS if name in OF_LABELS else TAGS, metrics.kind(name).judges[0])


@pytest.fixture(autouse=True)
def offline(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")


def test_every_file_with_a_class_of_its_name_is_a_metric() -> None:
    assert metrics.shipped() == (
        "accuracy",
        "bits_per_byte",
        "bleu",
        "bleu_zh",
        "chrf",
        "exact_match",
        "exponential_ndcg_at_10",
        "in_scope_accuracy",
        "intent_accuracy",
        "macro_accuracy",
        "macro_f1",
        "matthews",
        "micro_f1",
        "mrr",
        "mrr_at_10",
        "ndcg_at_10",
        "out_of_scope_recall",
        "pearson",
        "perplexity",
        "recall_at_1",
        "recall_at_5",
        "rmse",
        "rouge_1",
        "rouge_2",
        "rouge_l",
        "slot_f1",
        "span_f1",
        "spearman",
        "token_accuracy",
    )


def test_reports_call_items_and_blind_answers_by_their_names() -> None:
    assert [metrics.counted(name) for name in ("mrr", "accuracy", "a metric of others")] == [
        "queries",
        "texts",
        "texts",
    ]
    assert [metrics.blind(name) for name in ("mrr", "accuracy", "a metric of others")] == [
        "a random order", *["the most frequent answer to every text"] * 2,
    ]  # fmt: skip


@pytest.mark.parametrize("name", OF_LABELS)
def test_load_score_and_named_are_the_same_metric(name: str) -> None:
    value = metrics.score(name, PREDICTIONS, REFERENCES, LABELS)
    assert plain(metrics.named(name, LABELS), np.array(PREDICTIONS), np.array(REFERENCES)) == value
    metric = metrics.load(name, labels=LABELS)
    assert metric.compute(predictions=PREDICTIONS, references=REFERENCES) == {name: value}
    assert metric.name == name
    assert metric.description and metric.inputs_description


@pytest.mark.parametrize("name", OF_OTHERS)
def test_metrics_that_judge_no_labels_are_neither_loaded_nor_scored_as_such(name: str) -> None:
    kinds = " or ".join(metrics.kind(name).judges)
    fault = f"task.metric={name} judges {kinds}, and this task answers label a text. Choose one of"
    with pytest.raises(MillisError, match=f"^{fault} {', '.join(OF_LABELS)}$"):
        metrics.score(name, PREDICTIONS, REFERENCES, LABELS)
    with pytest.raises(MillisError, match=fault):
        metrics.load(name, labels=LABELS)


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
        "bootstrap.interval(metrics.named('accuracy', 'ab'), [0, 1], [0, 0]); "
        "metrics.score('macro_f1', [0, 1], [0, 0]); "
        "assert not {'evaluate', 'datasets', 'torch', 'sklearn'} & set(sys.modules)"
    )
    source = str(Path(metrics.__file__).parents[2])
    subprocess.run([sys.executable, "-c", code], check=True, env={**os.environ, "PYTHONPATH": source})


def test_a_misspelled_metric_is_told_the_nearest() -> None:
    with pytest.raises(MillisError) as error:
        metrics.load("acuracy")
    text = str(error.value)
    assert text.startswith("cannot load the metric 'acuracy' (Couldn't find")
    assert "expected one that ships with millis (accuracy, bits_per_byte, bleu, bleu_zh, chrf, exact_match, " in text
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
    for make in (metrics.load, metrics.named):
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


def record(
    name: str, judged: dict[str, Judged], predictions: list[int] = PREDICTIONS, quality: str = "macro_f1"
) -> Record:
    return Record(
        id=name, name=name, kind="student", metrics={}, intervals={}, quality=quality, config={}, seed=0, artifact="",
        predictions=predictions, references=REFERENCES, latency_ms=[], reference_latency_ms=[], stages_ms={}, parity={},
        environment={}, judged=judged,
    )  # fmt: skip


@pytest.mark.parametrize("name", metrics.shipped())
def test_a_record_has_all_that_its_metric_knows(name: str) -> None:
    judged = metrics.judged({name: made(name)})
    less = {"rmse": "", "perplexity": "", "bits_per_byte": "bits"}
    units = {**less, "bleu": "BLEU", "bleu_zh": "BLEU", "chrf": "chrF2"}
    assert (judged[name].better, judged[name].unit) == ("lower" if name in less else "higher", units.get(name, "%"))
    read = Record.from_json(record("a", judged, quality=name).to_json())
    assert metrics.metric_of([read]) == made(name)


def test_records_older_than_what_they_are_judged_by_number_their_labels() -> None:
    # The largest index of all is 5, so six classes; one record that has them is enough for all.
    old, other = record("old", {}), record("other", {}, [5, 0, 0, 0, 0, 0])
    assert metrics.metric_of([old, other]) == MacroF1(6)
    assert metrics.metric_of([old, record("new", {"macro_f1": Judged(settings={"classes": 9})})]) == MacroF1(9)
    assert metrics.completed(old, LABELS).judged == metrics.judged({"macro_f1": MacroF1(3)})
    assert metrics.completed(kept := record("new", {"macro_f1": Judged()}), LABELS) is kept
    with pytest.raises(MillisError, match=r"got the labels \[0, 1, 2\]; this metric needs one named 'oos'"):
        metrics.metric_of([record("old", {}, quality="out_of_scope_recall")])


def test_records_over_different_labels_are_refused() -> None:
    a, b = (record(name, {"macro_f1": Judged(settings={"classes": classes})}) for name, classes in (("a", 3), ("b", 4)))
    with pytest.raises(MillisError) as caught:
        metrics.metric_of([a, b])
    assert str(caught.value) == (
        "records 'a' and 'b' are judged by macro_f1 over different labels ({'classes': 3} and {'classes': 4}): compare "
        "records of one data set"
    )


@pytest.mark.parametrize(
    ("settings", "fault"),
    [
        ({}, "Object missing required field classes"),
        ({"classes": "many"}, "classes is 'many': expected int, got str"),
        ({"classes": 2**40}, "classes is 1099511627776: expected int <= 65536"),
    ],
)
def test_a_record_that_asks_for_what_no_metric_has_is_refused(settings: dict[str, object], fault: str) -> None:
    with pytest.raises(MillisError) as caught:
        metrics.metric_of([record("a", {"macro_f1": Judged(settings=settings)})])
    assert str(caught.value) == f"record 'a' lacks what macro_f1 has to know: {fault}"


def test_a_foreign_metric_is_resampled_too(tmp_path: Path) -> None:
    # Right on all: 1 on every resample. What the metric does not say of itself, a record does not either.
    name = write_metric(
        tmp_path / "share", "{'share': sum(p == r for p, r in zip(predictions, references)) / len(references)}"
    )
    assert bootstrap.interval(metrics.named(name, LABELS), [0, 1], [0, 1], resamples=5) == (1.0, 1.0)
    low, high = bootstrap.interval(metrics.named(name, LABELS), [0, 1, 1, 1], [0, 1, 0, 0], resamples=20)
    assert 0 <= low < 0.5 < high <= 1
    judged = metrics.judged({name: metrics.named(name, LABELS)})
    assert judged == {name: Judged("higher", "", {})}
    assert plain(metrics.metric_of([record("a", judged, quality=name)]), np.array([0, 1]), np.array([0, 0])) == 0.5
