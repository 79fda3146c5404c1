"""Language models through the commands: a small Llama learns a grammar, is cut, writes, and is measured."""

import random
import re
from collections import Counter
from math import exp, log
from pathlib import Path

import pytest
from tiny import BRIEF, millis
from tokenizers import Tokenizer

from millis.record import read_records
from millis.serving.runner import load
from millis.serving.writer import Writer

WORDS = [
    ["the"],
    ["cat", "dog", "bird"],
    ["sees", "hears"],
    ["the"],
    ["cat", "dog", "bird"],
    ["by the sea.", "at home."],
]
TINY = [
    "task=language_model", "task.passage=60", "task.max_length=32", "model=scratch_decoder", "model.layers=2",
    "model.hidden_size=32", "model.heads=2", "model.key_value_heads=1", "model.ffn_size=48", "model.vocab_size=300",
    "model.max_length=32", "model.dropout=0", "backend=eager", "data=local", "logger=none", *BRIEF,
    "benchmark.new_tokens=4", "generation.max_tokens=6", "teacher.trainer.max_epochs=6", "trainer.max_epochs=2",
    "teacher.trainer.batch_size=8", "trainer.batch_size=8", "teacher.optimizer.lr=0.02", "optimizer.lr=0.02",
    "teacher.trainer.precision=32-true", "trainer.precision=32-true", "teacher.optimizer.head_lr=0.02",
]  # fmt: skip
TIMES = {"first_token_p50_ms", "first_token_p99_ms", "per_token_p50_ms", "per_token_p99_ms"}


def sentences(seed, count):
    chance = random.Random(seed)
    return "".join(" ".join(map(chance.choice, WORDS)) + "\n" for _ in range(count))


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    place = tmp_path_factory.mktemp("language")
    (place / "data").mkdir()
    for split, count in (("train", 100), ("validation", 20), ("test", 20)):
        (place / "data" / f"{split}.txt").write_text(sentences(split, count))
    return place


def given(place, *overrides):
    return [*TINY, f"data.path={place / 'data'}", *overrides]


@pytest.fixture(scope="module")
def records(place):
    """Teacher, int8 baseline and a student of one layer."""
    assert millis(place, "compress", *given(place, "student.layers=1")) == 0
    (path,) = (place / "outputs" / "compress").glob("*/records.jsonl")
    return read_records(path)


def unigrams(place, artifact):
    """The perplexity of a test text whose tokens are drawn by their frequency in it: no order is known."""
    tokenizer = Tokenizer.from_file(str(artifact / "tokenizer.json"))
    ids = tokenizer.encode((place / "data" / "test.txt").read_text(), add_special_tokens=False).ids
    return exp(-sum(count * log(count / len(ids)) for count in Counter(ids).values()) / len(ids))


def test_teacher_and_student_learn_the_order_of_words(place, records):
    teacher, int8, student = records
    assert (teacher.kind, int8.kind, student.kind) == ("teacher", "baseline", "student")
    alone = unigrams(place, Path(teacher.artifact))
    assert all(1 < record.metrics["perplexity"] < alone / 3 for record in records), alone
    for record in records:
        assert record.metrics["bits_per_byte"] < 1.5 and record.quality == "perplexity"
        assert record.metrics.keys() >= {*TIMES, "validation_perplexity", "tokenize_p50_ms", "write_p50_ms"}
        assert set(record.intervals) >= {"perplexity", "bits_per_byte", *TIMES}
        assert record.parity["label_agreement"] > 0.9
        assert "times are of a prompt and the 4 tokens that are written after it" in record.notes
    assert student.metrics["size_bytes"] < teacher.metrics["size_bytes"]
    first, each = (student.metrics[f"{part}_token_p50_ms"] for part in ("first", "per"))
    assert first < student.metrics["latency_p50_ms"] and each > 0


def test_perplexity_is_of_the_passages_one_by_one(place, records):
    """The nats of all tokens after <s>, summed over the test passages."""
    nats, tokens, bytes_ = (sum(column) for column in zip(*records[0].predictions, strict=True))
    assert records[0].metrics["perplexity"] == pytest.approx(exp(nats / tokens))
    assert records[0].metrics["bits_per_byte"] == pytest.approx(nats / bytes_ / log(2))
    assert bytes_ == len((place / "data" / "test.txt").read_bytes())


def test_an_artifact_writes_as_it_comes(records, place, capsys):
    artifact = f"artifact={records[0].artifact}"
    runner = load(records[0].artifact)
    assert isinstance(runner, Writer) and runner.generation.max_tokens == 6
    prompt = "the cat sees the dog at"
    expected = runner.predict(prompt)
    assert expected.text.startswith(" home.\n"), "it has learned the grammar"
    assert millis(place, "predict", artifact, "--", prompt) == 0
    said = capsys.readouterr().out
    assert said.startswith(f"{prompt}{expected.text}\n")
    assert re.search(r"\n6 tokens, first \S+ .?s, then \S+ .?s each \(length\)\n$", said)
    assert millis(place, "predict", artifact, "deadline_ms=60000", "--", prompt) == 0
    assert f"{expected.text.splitlines()[0]}" in capsys.readouterr().out


def test_artifacts_are_measured_side_by_side_and_reported(records, place, capsys):
    both = f"artifacts=[{records[0].artifact},{records[-1].artifact}]"
    data = ["data=local", f"data.path={place / 'data'}", "task=language_model", "task.passage=60"]
    own = f"records={place / 'measured.jsonl'}"
    assert millis(place, "benchmark", both, *data, *BRIEF, "benchmark.new_tokens=3", own) == 0
    assert re.search(r"first\s+(?:token p50\s+)?per\s", capsys.readouterr().out)
    measured = read_records(place / "measured.jsonl")
    for one, other in zip(measured, (records[0], records[-1]), strict=True):
        assert one.metrics.keys() >= TIMES
        assert "times are of a prompt and the 3 tokens that are written after it" in one.notes
        assert one.metrics["perplexity"] == pytest.approx(other.metrics["perplexity"], rel=1e-4)
    assert millis(place, "report", f"records={place / 'outputs' / 'compress'}") == 0
    assert re.search("first token.*per token", capsys.readouterr().out.replace("\n", " "))


def test_a_length_that_cannot_be_timed_is_refused(records, place, capsys):
    data = ["data=local", f"data.path={place / 'data'}", "task=language_model", "task.passage=60"]
    asked = [f"artifacts=[{records[-1].artifact}]", *data, *BRIEF, "benchmark.new_tokens=17"]
    assert millis(place, "benchmark", *asked) == 1
    fault = " ".join(capsys.readouterr().err.split())
    assert "benchmark.new_tokens=17: expected at least 2, of which the first is timed by itself" in fault


def test_a_search_finds_students_that_write(records, place, capsys):
    space = ["student=transformer", "student.layers=1,2", "quantization=none", "study.n_trials=2"]
    assert millis(place, "sweep", *given(place, *space, "study.directions.quality=minimize")) == 0
    (path,) = (place / "outputs" / "sweep").glob("*/records.jsonl")
    found = read_records(path)
    assert {record.kind for record in found} >= {"teacher", "baseline", "student"}
    assert all(record.metrics.keys() >= TIMES for record in found if record.kind == "student")
    assert "first token" in " ".join(capsys.readouterr().out.split())
    assert (path.parent / "frontier.html").is_file()


def test_a_student_on_onnxruntime_genai_writes_as_eager_does(records, place):
    pytest.importorskip("onnxruntime_genai")
    assert millis(place, "compress", *given(place, "student.layers=1", "backend=onnxruntime_genai")) == 0
    found = [one for path in (place / "outputs" / "compress").glob("*/records.jsonl") for one in read_records(path)]
    (student,) = (one for one in found if one.kind == "student" and "onnxruntime_genai" in one.name)
    assert student.parity["label_agreement"] == 1
    for prompt in ("the cat sees", "the"):
        assert load(student.artifact).predict(prompt) == load(records[-1].artifact).predict(prompt)


@pytest.mark.parametrize(("overrides", "message"), [
    (["student=bilstm"], "student=bilstm answers a text as a whole and each word of a text, and next answers what "
     "comes next in a text."),
    (["student=convolution"], "student=convolution answers a text as a whole and each word of a text, and next answer"),
    (["student=static"], "student=static answers a text as a whole, and next answers what comes next in a text."),
    (["student=ngrams"], "student=ngrams answers a text as a whole, and next answers what comes next in a text."),
    (["early_exit=joint"], "early_exit answers a text as a whole, and next answers what comes next in a text."),
    (["tokens=learned"], "tokens answers a text as a whole, and next answers what comes next in a text."),
    (["generation=none"], "the task's models write, and generation=none: expected a way, such as generation=greedy"),
    (["backend=openvino"], "backend=openvino does not write token by token: choose"),
    (["model=minilm_l6"], "a 'bert' model cannot say what comes next: expected one whose tokens look back only (gpt2, "
     "llama, mistral, qwen2), such as model=scratch_decoder"),
    (["task.metric=accuracy"], "task.metric=accuracy judges label, and this task answers likelihood a text"),
    (["task.passage=3"], "task.passage=3: expected at least 16 characters"),
])  # fmt: skip
def test_what_cannot_be_is_refused_before_anything_is_trained(place, capsys, overrides, message):
    group = overrides[0].partition("=")[0]
    others = [one for one in given(place) if group not in ("model", "generation") or not one.startswith(group)]
    assert millis(place / "refused", "compress", *others, *overrides) in (1, 2)
    assert message in " ".join(capsys.readouterr().err.split())
    assert not list((place / "refused" / "outputs" / "cache").glob("teacher/*.json"))
