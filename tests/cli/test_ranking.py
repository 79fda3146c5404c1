"""Ranking through the commands, on a tiny teacher: candidates are answered one by one, and judged a query at a time."""

import re
from pathlib import Path

import pytest
from tiny import ANSWERS, BRIEF, TINY, millis, write_candidates, write_data

from millis.record import read_records
from millis.serving.runner import load

SINGLE = ["data.text=answer", "task.query=asked"]
PAIRS = ["data.text=question", "data.text_pair=answer"]
METHODS = {
    "transformer": ["student.layers=1", "quantization=dynamic", *SINGLE],
    "bilstm, typos": ["student=bilstm", "augmentation=typos", *SINGLE],
    "pairs": ["student.layers=1", "distillation=tinybert", *PAIRS],
}


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    place = tmp_path_factory.mktemp("ranking")
    write_candidates(place / "data")
    write_data(place / "labels")
    return place


def given(place, *overrides):
    longer = ["teacher.trainer.max_epochs=12", "trainer.max_epochs=6", "teacher.optimizer.lr=0.003"]
    return ["task=ranking", *TINY, f"data.path={place / 'data'}", *longer, *overrides]


def made(place, capsys, *overrides):
    assert millis(place, "compress", *given(place, *overrides)) == 0
    return read_records(Path(re.search(r"records: (\S+)", capsys.readouterr().out)[1]))


@pytest.mark.slow
@pytest.mark.parametrize("method", METHODS)
def test_every_method_makes_a_student_that_puts_candidates_in_order(place, capsys, method):
    teacher, int8, student = made(place, capsys, *METHODS[method])
    assert (teacher.kind, int8.kind, student.kind) == ("teacher", "baseline", "student")
    assert set(teacher.metrics) >= {"ndcg_at_10", "mrr", "recall_at_1", "validation_ndcg_at_10"}
    assert len(teacher.references) == 12 and all(sorted(grades) == [0, 1, 2] for grades in teacher.references)
    assert teacher.metrics["ndcg_at_10"] > 90 and teacher.metrics["recall_at_1"] > 60, "it is to have learned something"
    assert student.references == teacher.references and student.metrics["ndcg_at_10"] > 85
    runner, question = load(Path(teacher.artifact)), "where is my order"
    texts = [ANSWERS[grade] if SINGLE[0] in METHODS[method] else (question, ANSWERS[grade]) for grade in (2, 0)]
    right, wrong = (runner.predict(text).score for text in texts)
    assert right > wrong


@pytest.mark.slow
def test_a_finished_artifact_is_measured_and_searched_for(place, capsys):
    student = made(place, capsys, *METHODS["transformer"])[-1]
    data = ["data=local", f"data.path={place / 'data'}", *SINGLE]
    assert millis(place, "benchmark", f"artifacts=[{student.artifact}]", "task=ranking", *BRIEF, *data) == 0
    assert millis(place, "sweep", *given(place, *SINGLE, "study.n_trials=2")) == 0
    capsys.readouterr()
    assert millis(place, "predict", f"artifact={student.artifact}", "--", ANSWERS[2]) == 0
    assert re.search(rf"ms  -?\d[\d.]*  {ANSWERS[2]}", capsys.readouterr().out)
    other = ["data=local", f"data.path={place / 'labels'}"]
    assert millis(place, "benchmark", f"artifacts=[{student.artifact}]", *BRIEF, *other) == 1
    fault = capsys.readouterr().err.replace("\n", " ")
    assert "answers a score of a query's candidate (± 0.816), the data has 3 labels" in fault


@pytest.mark.parametrize(("overrides", "message"), [
    ([*SINGLE, "student=ngrams"], "student=ngrams chooses one label a text, and the task asks for a number"),
    ([*SINGLE, "early_exit=joint"], "early_exit chooses one label a text"),
    ([*SINGLE, "tokens=learned"], "tokens chooses one label a text"),
    ([*SINGLE, "task.metric=accuracy"], "task.metric=accuracy judges label, and this task answers scores a text"),
    ([*SINGLE, "task.column=question"], "column 'question' holds 'where is my order train 0'; expected a number, or"),
    ([*SINGLE, "task.column=grade"], "has no column 'grade'"),
    (["data.text=answer", "task.query=who"], "has no column 'who': found question, answer, label, asked"),
    (["data.text=answer"], "which query the text is a candidate of is not said"),
    ([*SINGLE, "data.limit=2"], "data.limit=2: expected 3 or more, for so many rows of the data belong together"),
])  # fmt: skip
def test_what_cannot_be_is_refused_before_anything_is_trained(place, capsys, overrides, message):
    assert millis(place / "refused", "compress", *given(place, *overrides)) == 1
    assert message in capsys.readouterr().err.replace("\n", " ")
    assert not (place / "refused" / "outputs" / "cache" / "teacher").exists()
