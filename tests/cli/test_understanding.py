"""Tagging, and intent with slots, through the commands, on a tiny teacher: what is asked for is what is deployed."""

import json
import re
from pathlib import Path

import pytest
from tiny import TINY, millis, write_slots

from millis.record import read_records
from millis.serving.runner import load
from millis.storage.manifest import open_manifest
from millis.tasks.intent_slots import Understood

TEXT = "please fly to new york today"
METHODS = {
    "transformer": ["student.layers=1", "quantization=dynamic"],
    "bilstm": ["student=bilstm"],
    "convolution": ["student=convolution", "quantization=static"],
    "states": ["distillation=hidden"],
    "two stages": ["distillation=tinybert"],
    "pruned": ["pruning=heads"],
    "qat": ["quantization=qat"],
    "svd": ["factorization=fwsvd"],
    "typos": ["augmentation=typos"],
    "ensemble": ["ensemble=[1]"],
    "fallback": ["quantization=fallback"],
    "openvino": ["backend=openvino", "quantization=dynamic"],
    "eager": ["backend=eager"],
    "archive": ["storage=archive"],
}


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    place = tmp_path_factory.mktemp("understanding")
    write_slots(place / "data")
    (place / "more.txt").write_text("please fly to lima\nrain next friday\n" * 3)
    return place


def given(place, *overrides, task="intent_slots"):
    column = [] if task == "intent_slots" else ["task.column=slots"]
    longer = ["teacher.trainer.max_epochs=12", "trainer.max_epochs=6", "teacher.optimizer.lr=0.005"]
    return [f"task={task}", *TINY, f"data.path={place / 'data'}", *longer, *column, *overrides]


def made(place, capsys, *overrides, task="intent_slots"):
    assert millis(place, "compress", *given(place, *overrides, task=task)) == 0
    return read_records(Path(re.search(r"records: (\S+)", capsys.readouterr().out)[1]))


@pytest.mark.slow
@pytest.mark.parametrize("method", METHODS)
def test_every_method_makes_a_student_that_answers_both(place, capsys, method):
    layers = [] if any("student" in override for override in METHODS[method]) else ["student.layers=2"]
    teacher, int8, student = made(place, capsys, *layers, *METHODS[method])
    assert (teacher.kind, int8.kind, student.kind) == ("teacher", "baseline", "student")
    assert set(teacher.metrics) >= {"exact_match", "intent_accuracy", "slot_f1", "validation_exact_match"}
    assert teacher.metrics["slot_f1"] > 80, "the teacher is to have learned something"
    assert student.metrics["slot_f1"] > 50 and student.metrics["intent_accuracy"] > 80, "and the student from it"
    if "fp32" in student.name:
        assert student.parity["label_agreement"] > 0.9
    assert student.references == teacher.references and len(student.predictions[0]) == 2
    runner = load(Path(student.artifact), trust_code=True)
    found = runner.predict(TEXT)
    assert isinstance(found, Understood) and len(found.slots.tags) == len(TEXT.split())
    assert all(span.text == TEXT[span.start : span.end] for span in found.spans)
    assert runner.manifest.task == open_manifest(Path(teacher.artifact)).task


@pytest.mark.slow
def test_tagging_alone(place, capsys):
    teacher, _, student = made(place, capsys, "student.layers=1", task="tagging")
    assert set(teacher.metrics) >= {"span_f1", "token_accuracy", "exact_match"}
    assert teacher.metrics["span_f1"] > 80
    found = load(Path(teacher.artifact)).predict(TEXT)
    assert [span[0] for span in found.spans] == ["city", "day"] and "[city new york]" in found.text
    assert isinstance(student.predictions[0], list) and isinstance(student.predictions[0][0], int)


@pytest.mark.slow
def test_texts_without_labels_are_tagged_by_the_teacher(place, capsys):
    *_, student = made(place, capsys, "student=bilstm", f"data.unlabelled={place / 'more.txt'}")
    assert any("2 texts without labels, which the teacher answers" in note for note in student.notes)


@pytest.mark.slow
def test_predict_benchmark_and_report_speak_of_spans(place, capsys):
    teacher, _, student = made(place, capsys, "student.layers=1", "quantization=dynamic")
    assert millis(place, "predict", f"artifact={teacher.artifact}", "--", TEXT) == 0
    assert re.search(r"book \(0\.\d\d\)  \[city new york\] \[day today\]", capsys.readouterr().out)
    artifacts = f"artifacts=[{teacher.artifact},{student.artifact}]"
    data = [argument for argument in given(place) if argument.startswith(("task", "data", "benchmark"))]
    assert millis(place, "benchmark", artifacts, *data) == 0
    path = Path(re.search(r"records: (\S+)", capsys.readouterr().out)[1])
    assert [record.metrics["slot_f1"] for record in read_records(path)] == [
        teacher.metrics["slot_f1"], student.metrics["slot_f1"],
    ]  # fmt: skip
    assert millis(place, "report", f"records={path}") == 0


@pytest.mark.slow
def test_a_search_leaves_out_what_cannot_tag(place, capsys):
    short = ["study.n_trials=3", "study.minimum=0", "study.timeout_s=null"]
    assert millis(place, "sweep", *given(place, *short)) == 0
    printed = capsys.readouterr()
    for name in ("static", "ngrams"):
        sentence = f"the search leaves out student={name}: student={name} answers a text as a whole, and tags answers"
        assert sentence in printed.err
    plan = printed.err[printed.err.index("plan:") :].splitlines()
    assert plan[1].strip().startswith("transformer layers=2") and "ngrams" not in "".join(plan)
    assert "exact" in printed.out and "transformer" in printed.out


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        (["student=static"], "student=static answers a text as a whole, and tags answers each word of a text. Choose"),
        (["student=ngrams"], "student=ngrams answers a text as a whole"),
        (["early_exit=joint"], "early_exit answers a text as a whole"),
        (["tokens=learned"], "tokens answers a text as a whole"),
        (["task.metric=accuracy"], "task.metric=accuracy judges label, and this task answers label and tags a text"),
        (["task.column=tags"], "has no column 'tags': found text, label, slots. Name it with task.column="),
    ],
)
def test_what_cannot_be_is_refused_before_anything_is_trained(place, capsys, overrides, message):
    assert millis(place / "refused", "compress", *given(place, *overrides)) == 1
    assert message in capsys.readouterr().err.replace("\n", " ")
    assert not (place / "refused" / "outputs" / "cache" / "teacher").exists()


def test_labels_where_spans_are_expected(place, tmp_path, capsys):
    for split in ("train", "validation", "test"):
        (tmp_path / f"{split}.jsonl").write_text(json.dumps({"text": "fly", "label": "book"}) + "\n")
    own = [argument for argument in given(place) if not argument.startswith("data.path")]
    assert millis(tmp_path, "compress", *own, f"data.path={tmp_path}") == 1
    assert "has no column 'slots': found text, label" in capsys.readouterr().err


@pytest.mark.slow
def test_an_artifact_of_another_task_is_not_judged_on_this_data(place, capsys):
    teacher, *_ = made(place, capsys, "student.layers=1", "quantization=dynamic")
    data = [argument for argument in given(place, task="tagging") if argument.startswith(("task", "data", "benchmark"))]
    assert millis(place, "benchmark", f"artifacts=[{teacher.artifact}]", *data) == 1
    expected = "answers 2 labels (book, weather) and 5 tags a word (O, B-city, I-city, ...), the data has 5 tags a word"
    assert expected in capsys.readouterr().err.replace("\n", " ")
