"""`student=ngrams` on real files: an artifact that answers, and that goes before a transformer in a cascade."""

import re
from pathlib import Path

import pytest
from tiny import BRIEF, TINY, millis

from millis.models.ngrams import NgramTokenizer
from millis.models.tokenizer import read
from millis.record import read_records
from millis.serving.runner import load
from millis.storage.manifest import open_manifest

BUNDLED = [*(override for override in TINY if override != "data=local"), "data=bundled", "debug=fast", *BRIEF]
TEXTS = ["where is my parcel", "包裹在哪里", ""]


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    return tmp_path_factory.mktemp("ngrams")


@pytest.fixture(scope="module")
def student(place):
    """The records of `millis compress student=ngrams`, by kind."""
    assert millis(place, "compress", *BUNDLED, "student=ngrams", "quantization=dynamic") == 0
    (path,) = (place / "outputs").glob("compress/*/records.jsonl")
    return {record.kind: record for record in read_records(path)}


def test_a_student_of_n_grams_answers(student):
    record = student["student"]
    assert re.fullmatch(r"ngrams \d+k int8", record.name)
    assert record.parity["label_agreement"] > 0.9
    folder = Path(record.artifact)
    assert isinstance(read((folder / "tokenizer.json").read_text()), NgramTokenizer)
    runner = load(folder)
    answers = [runner.predict(text) for text in TEXTS]
    labels = runner.manifest.task["labels"]
    assert all(answer.label == labels[answer.index] and 0 < answer.score <= 1 for answer in answers)
    assert runner.manifest.task == open_manifest(Path(student["teacher"].artifact)).task


def test_it_goes_before_a_transformer(place, student, capsys):
    members = [f"{name}={student[kind].artifact}" for name, kind in (("fast", "student"), ("accurate", "baseline"))]
    arguments = ["data=bundled", "data.limit=64", *BRIEF, "cascade.quality_drop=100", "cascade.texts=20"]
    assert millis(place, "cascade", *members, *arguments) == 0
    folder = Path(re.search(r"artifact: (\S+)", capsys.readouterr().out)[1])
    assert "accurate/tokenizer.json" in open_manifest(folder).files
    runner, alone = load(folder), [load(Path(student[kind].artifact)) for kind in ("student", "baseline")]
    for text in TEXTS:
        step = runner.answer(runner.feed(runner.tokenize(text))).steps[0]
        assert runner.predict(text) == alone[step - 1].predict(text)


def test_the_linear_model_is_the_same_whatever_a_student_is_taught_by(place, student, capsys):
    """A schedule of the teacher's share, which no fitted student could follow, among it."""
    assert millis(place, "compress", *BUNDLED, "student=static", "distillation=annealed") == 0
    records = read_records(Path(re.search(r"records: (\S+)", capsys.readouterr().out)[1]))
    (linear,) = (record for record in records if record.kind == "linear")
    assert linear.id == student["linear"].id
