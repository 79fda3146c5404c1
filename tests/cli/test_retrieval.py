"""Retrieval through the commands: a tiny encoder makes the entries' vectors, a tiny teacher those of queries."""

import json
import re
from pathlib import Path

import pytest
from tiny import BRIEF, INTENTS, TINY, millis, write_data

from millis.record import read_records
from millis.serving.runner import load

OTHERS = ("we sell shoes and hats", "the shop opens at nine", "gifts are wrapped", "we pay the postage", "write to us",
          "choose a size", "wash it cold", "a card or cash", "three shops in town")  # fmt: skip
ENCODER = [
    "task.encoder._target_=millis.models.scratch.Scratch", "+task.encoder.layers=1", "+task.encoder.hidden_size=32",
    "+task.encoder.heads=2", "+task.encoder.ffn_size=64", "+task.encoder.vocab_size=120",
]  # fmt: skip


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    """Turned sentences are queries, which should find their whole among twelve; another collection lacks some."""
    place = tmp_path_factory.mktemp("retrieval")
    write_data(place / "data")
    entries = [{"id": name, "text": text} for name, text in INTENTS.items()]
    entries += [{"id": number, "text": text} for number, text in enumerate(OTHERS)]
    for name, found in (("faq", entries), ("other", entries[:5])):
        (place / f"{name}.jsonl").write_text("".join(json.dumps(entry) + "\n" for entry in found))
    return place


def task(place, collection="faq"):
    return ["task=retrieval", f"task.collection={place / collection}.jsonl", *ENCODER]


def given(place, *overrides):
    longer = ["teacher.trainer.max_epochs=24", "trainer.max_epochs=6", "teacher.optimizer.lr=0.003", "model.dropout=0"]
    return [*task(place), *TINY, f"data.path={place / 'data'}", *longer, *overrides]


def made(place, capsys, *overrides):
    assert millis(place, "compress", *given(place, *overrides)) == 0
    return read_records(Path(re.search(r"records: (\S+)", capsys.readouterr().out)[1]))


METHODS = {
    "transformer": ["student.layers=1", "quantization=dynamic"],
    "static": [
        "student=static", "student.source=encoder", "quantization=dynamic", "trainer.max_epochs=40",
        "optimizer.lr=0.02",
    ],
    "ensemble, typos": ["student=convolution", "ensemble=[1]", "augmentation=typos"],
    "the teacher as it is": ["teacher.trainer.max_epochs=0", "student=static"],
}  # fmt: skip


@pytest.mark.slow
@pytest.mark.parametrize("method", METHODS)
def test_every_method_makes_a_student_that_finds_entries(place, capsys, method):
    teacher, int8, student = made(place, capsys, *METHODS[method])
    assert (teacher.kind, int8.kind, student.kind) == ("teacher", "baseline", "student")
    assert set(teacher.metrics) >= {"mrr_at_10", "recall_at_1", "recall_at_5", "validation_mrr_at_10"}
    assert len(teacher.references) == 18 and all(len(one) == 12 and sum(one) == 1 for one in teacher.references)
    runners = [load(Path(one.artifact)) for one in (teacher, student)]
    found = runners[0].predict("where is my parcel")
    assert len(found.entries) == 10 and set(found.entries) <= {*INTENTS.values(), *OTHERS}
    if method != "the teacher as it is":  # at random one in twelve would be right
        assert teacher.metrics["recall_at_1"] > 90 and student.metrics["recall_at_1"] > 90
        for runner in runners:
            assert [runner.predict(entry).entries[0] for entry in INTENTS.values()] == [*INTENTS.values()]


@pytest.mark.slow
def test_a_finished_artifact_answers_and_is_measured_on_its_own_collection_alone(place, capsys):
    student = made(place, capsys, *METHODS["static"])[-1]
    entry = INTENTS["refund"]
    assert millis(place, "predict", f"artifact={student.artifact}", "--", entry) == 0
    assert re.search(rf"ms  {entry} \(-?\d\.\d\d\)", capsys.readouterr().out.replace("\n", " "))
    asked = [f"artifacts=[{student.artifact}]", *BRIEF, "data=local", f"data.path={place / 'data'}"]
    assert millis(place, "benchmark", *asked, *task(place)) == 0
    capsys.readouterr()
    assert millis(place, "benchmark", *asked, *task(place, "other")) == 1
    fault = capsys.readouterr().err.replace("\n", " ")
    assert "answers entries of a collection of 12, the data has entries of a collection of 5: name the task" in fault
    assert millis(place, "benchmark", *asked) == 1
    fault = capsys.readouterr().err.replace("\n", " ")
    assert "answers entries of a collection of 12, the data has 3 labels" in fault


@pytest.mark.slow
def test_vectors_are_not_balanced(place, capsys):
    few = ["student=static", "teacher.trainer.max_epochs=1", "distillation.balanced=true"]
    assert millis(place, "compress", *given(place, *few)) == 1
    fault = capsys.readouterr().err.replace("\n", " ")
    assert "distillation.balanced=true weighs labels, and the task asks for a vector: expected false" in fault


@pytest.mark.parametrize(("overrides", "message"), [
    (["student=ngrams"], "student=ngrams chooses one label a text, and the task asks for a vector"),
    (["early_exit=joint"], "early_exit chooses one label a text, and the task asks for a vector"),
    (["tokens=learned"], "tokens chooses one label a text, and the task asks for a vector"),
    (["task.metric=accuracy"], "task.metric=accuracy judges label, and this task answers scores a text"),
    (["task.column=faq"], "has no column 'faq'"),
    (["task.column=text"], "is no entry of"),
    (["task.text=question"], "has no column 'question': found id, text. Name it with task.text="),
    (["task.collection=none.jsonl"], "task.collection=none.jsonl is not a file; expected one with an entry a row"),
    (["data.text=text", "data.text_pair=label"], "has pairs of texts, and a query is one"),
])  # fmt: skip
def test_what_cannot_be_is_refused_before_anything_is_trained(place, capsys, overrides, message):
    assert millis(place / "refused", "compress", *given(place, *overrides)) == 1
    assert message in capsys.readouterr().err.replace("\n", " ")
    assert not (place / "refused" / "outputs" / "cache" / "teacher").exists()


def test_the_collection_has_to_be_named(place, capsys):
    overrides = [one for one in given(place) if not one.startswith("task.collection=")]
    assert millis(place / "refused", "compress", *overrides) in (1, 2)
    assert "task.collection" in capsys.readouterr().err
