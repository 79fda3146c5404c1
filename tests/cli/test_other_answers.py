"""Several labels a text, and numbers, through the commands, on a tiny teacher."""

import json
import re
from pathlib import Path

import pytest
from tiny import BRIEF, TINY, millis

from millis.record import read_records
from millis.serving.runner import load

GENRES = {"war": "soldiers march at dawn", "spy": "a stolen secret letter", "love": "two hearts meet again"}
METHODS = {
    "transformer": ["student.layers=1", "quantization=dynamic"],
    "static": ["student=static", "student.source=encoder"],
    "bilstm": ["student=bilstm"],
    "two stages": ["student.layers=2", "distillation=tinybert"],
    "reverse": ["student.layers=2", "distillation=reverse_kl"],
    "qat": ["student.layers=2", "quantization=qat"],
    "svd": ["student.layers=2", "factorization=fwsvd"],
    "ensemble, typos": ["student=convolution", "ensemble=[1]", "augmentation=typos"],
}
TASKS = {
    "multi_label": (("micro_f1", "macro_f1", "exact_match"), "soldiers march at dawn two hearts meet again"),
    "regression": (("pearson", "spearman", "rmse"), "soldiers march at dawn"),
}


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    """Texts of one to three sentences, each with its genre; the number is how many there are, war's twice."""
    place = tmp_path_factory.mktemp("answers")
    (place / "data").mkdir()
    names = list(GENRES)
    subsets = [[name for bit, name in enumerate(names) if code >> bit & 1] for code in range(1, 8)]
    for split, count in (("train", 56), ("validation", 14), ("test", 14)):
        rows = []
        for i in range(count):
            chosen = subsets[i % 7]
            turned = chosen[i // 7 % len(chosen) :] + chosen[: i // 7 % len(chosen)]
            text = " ".join(GENRES[name] for name in turned)
            rows.append({"text": text, "labels": "|".join(chosen), "label": len(chosen) + 2.0 * ("war" in chosen)})
        (place / "data" / f"{split}.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    return place


def made(place, capsys, task, *overrides):
    longer = ["teacher.trainer.max_epochs=15", "trainer.max_epochs=6", "teacher.optimizer.lr=0.003"]
    given = [f"task={task}", *TINY, f"data.path={place / 'data'}", *longer, *overrides]
    assert millis(place, "compress", *given) == 0
    return read_records(Path(re.search(r"records: (\S+)", capsys.readouterr().out)[1]))


@pytest.mark.slow
@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("task", TASKS)
def test_every_method_makes_a_student_that_answers(place, capsys, task, method):
    teacher, _, student = made(place, capsys, task, *METHODS[method])
    names, text = TASKS[task]
    assert set(teacher.metrics) >= set(names) and set(student.metrics) >= set(names)
    assert teacher.metrics[names[0]] > 80, "the teacher is to have learned something"
    assert student.references == teacher.references
    assert student.metrics[names[0]] > 60, "and the student from it"
    found = load(Path(teacher.artifact)).predict(text)
    expected = ("war", "love") if task == "multi_label" else 3.0
    if task == "multi_label":
        assert set(found.labels) == set(expected)
    else:
        assert found.number == pytest.approx(expected, abs=1.0)


@pytest.mark.slow
def test_predict_prints_the_answer(place, capsys):
    teacher, *_ = made(place, capsys, "multi_label", "student=static")
    assert millis(place, "predict", f"artifact={teacher.artifact}", "--", GENRES["spy"]) == 0
    assert re.search(r"spy \(0\.\d\d\)", capsys.readouterr().out)


@pytest.mark.parametrize(("task", "override", "message"), [
    ("multi_label", "student=ngrams", "student=ngrams chooses one label a text, and the task asks for several labels"),
    ("regression", "student=ngrams", "student=ngrams chooses one label a text, and the task asks for a number"),
    ("multi_label", "early_exit=joint", "early_exit chooses one label a text"),
    ("regression", "tokens=learned", "tokens chooses one label a text"),
    ("regression", "task.metric=accuracy", "task.metric=accuracy judges label, and this task answers number a text"),
    ("regression", "task.column=labels", "expected a number, such as 0.25"),
])  # fmt: skip
def test_what_cannot_be_is_refused_before_anything_is_trained(place, capsys, task, override, message):
    given = [f"task={task}", *TINY, f"data.path={place / 'data'}", override]
    assert millis(place / "refused", "compress", *given) == 1
    assert message in capsys.readouterr().err.replace("\n", " ")
    assert not (place / "refused" / "outputs" / "cache" / "teacher").exists()


@pytest.mark.slow
def test_balance_weighs_labels_alone(place, capsys):
    assert made(place, capsys, "multi_label", "student=static", "distillation.balanced=true")
    given = ["task=regression", *TINY, f"data.path={place / 'data'}", "student=static", "distillation.balanced=true"]
    assert millis(place, "compress", *given, "teacher.trainer.max_epochs=1") == 1
    assert "distillation.balanced=true weighs labels, and the task asks for a number" in capsys.readouterr().err


@pytest.mark.slow
def test_a_number_is_judged_on_other_rows_than_those_it_was_learned_from(place, capsys):
    teacher, *_ = made(place, capsys, "regression", "student=static")
    data = ["task=regression", *BRIEF, "data=local", f"data.path={place / 'data'}", "data.limit=20"]
    assert millis(place, "benchmark", f"artifacts=[{teacher.artifact}]", *data) == 0


@pytest.mark.slow
def test_no_cascade_of_several_labels(place, capsys):
    records = made(place, capsys, "multi_label", "student.layers=1", "quantization=dynamic")
    members = [f"fast={records[-1].artifact}", f"accurate={records[1].artifact}"]
    assert millis(place, "cascade", *members, "task=multi_label", "data=local", f"data.path={place / 'data'}") == 1
    assert "a cascade chooses one label a text, and the task asks for several labels" in capsys.readouterr().err
