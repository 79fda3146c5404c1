"""What a teacher writes for texts, and what students learn of it."""

import json
from dataclasses import replace
from pathlib import Path

import pytest
from tiny import BRIEF

from millis.cli.hydra_app import composed
from millis.cli.recipes import run_of
from millis.data.augment.sequence_level import SequenceLevel
from millis.errors import MillisError
from millis.pipeline import written_answers
from millis.pipeline.student import Lesson, ensure_student, plan
from millis.pipeline.taught_answers import with_further
from millis.pipeline.written_answers import written
from millis.serving.runner import load

NUMBERS = {"one": "eins", "two": "zwei", "three": "drei", "four": "vier"}
TINY = [
    "task=translation", "task.max_length=24", "model=scratch_decoder", "model.layers=2", "model.hidden_size=32",
    "model.heads=2", "model.key_value_heads=1", "model.ffn_size=48", "model.vocab_size=300", "model.max_length=24",
    "model.dropout=0", "backend=eager", "data=local", "logger=none", *BRIEF, "generation.max_tokens=8",
    "teacher.trainer.max_epochs=12", "trainer.max_epochs=1", "teacher.trainer.batch_size=8", "trainer.batch_size=8",
    "teacher.optimizer.lr=0.02", "teacher.optimizer.head_lr=0.02", "optimizer.lr=0.02",
    "teacher.trainer.precision=32-true", "trainer.precision=32-true", "student.layers=1",
]  # fmt: skip


@pytest.fixture(scope="module")
def config(tmp_path_factory):
    """Makes a config of a tiny translator of two numbers."""
    place = tmp_path_factory.mktemp("written")
    rows = [{"text": f"{a} {b}", "label": f"{NUMBERS[a]} {NUMBERS[b]}"} for a in NUMBERS for b in NUMBERS]
    (place / "data").mkdir()
    for split, some in (("train", rows), ("validation", rows[:8]), ("test", rows[8:])):
        (place / "data" / f"{split}.jsonl").write_text("".join(json.dumps(row) + "\n" for row in some))
    common = [*TINY, f"data.path={place / 'data'}", f"paths.outputs={place / 'outputs'}"]
    return lambda *overrides: composed("compress", [*common, *overrides])


@pytest.fixture(scope="module")
def run(config):
    return run_of(config("augmentation=sequence_level"))


@pytest.fixture
def few(monkeypatch):
    """Three texts a file, so that there are several."""
    monkeypatch.setattr(written_answers, "AT_ONCE", 3)


def test_answers_are_those_of_the_teachers_artifact(run, few):
    texts = ["two three", "four one", "one one", "three two"]
    found = written(run.teacher, texts, 8)
    writer = load(run.teacher.folder)
    writer.generation = replace(writer.generation, max_tokens=8)
    replies = [writer.replied(text) for text in texts]
    assert found == [reply.text.strip() if reply.ended == "end" else None for reply in replies]
    assert sum(answer is not None for answer in found) >= 3, "the teacher learned that texts end"


def test_an_interrupted_run_goes_on_and_a_finished_one_is_read(run, few, monkeypatch):
    texts, asked, answer = ["one two", "two one", "two two", "four four"], [], written_answers._answer

    def interrupted(writer, text):
        asked.append(text)
        if len(asked) == 4:
            raise KeyboardInterrupt
        return answer(writer, text)

    monkeypatch.setattr(written_answers, "_answer", interrupted)
    with pytest.raises(KeyboardInterrupt):
        written(run.teacher, texts, 8)
    found = written(run.teacher, texts, 8)
    assert asked == [*texts, texts[-1]], "the first three are not written again"
    monkeypatch.setattr(written_answers, "_write", lambda *_: pytest.fail("it was written again"))
    assert written(run.teacher, texts, 8) == found


def test_a_student_learns_the_corpus_and_what_the_teacher_writes(run):
    train = run.teacher.inputs.dataset.train
    planned = plan(run)
    lesson = Lesson.of(run, planned.tokenizer).texts
    assert (lesson.texts[: len(train)], lesson.references[: len(train)]) == (train.texts, train.references)
    said = zip(train.texts, written(run.teacher, train.texts, 8), strict=True)
    further = zip(lesson.texts[len(train) :], lesson.references[len(train) :], strict=True)
    assert list(further) == [(text, answer) for text, answer in said if answer is not None]
    assert (
        planned.fingerprint
        != plan(run.with_recipe(run.recipe.alone(student=run.recipe.student, backend=run.recipe.backend))).fingerprint
    )
    longer = replace(run.recipe, generation=replace(run.recipe.generation, max_tokens=9))
    assert planned.fingerprint != plan(run.with_recipe(longer)).fingerprint, "other answers may have an end"
    _, fitted = ensure_student(run, planned)
    assert fitted.epochs == 1


def test_texts_without_answers_are_answered_too_and_endless_ones_left_out(run, monkeypatch, capsys):
    monkeypatch.setattr("millis.pipeline.taught_answers.written", lambda *_: ["eins", None, "vier"])
    train = run.teacher.inputs.dataset.train
    found = with_further(run.recipe, run.teacher, ["one", "two", "four"])
    assert (found.texts[len(train) :], found.references[len(train) :]) == (["one", "four"], ["eins", "vier"])
    assert "1 answers had no end within 8 tokens: left out" in capsys.readouterr().err
    monkeypatch.setattr("millis.pipeline.taught_answers.written", lambda *_: [None])
    with pytest.raises(
        MillisError, match=r"^the teacher ended none of 1 answers within 8 tokens.*raise generation\.max"
    ):
        with_further(run.recipe, run.teacher, ["one"])


def test_it_is_for_what_is_written_for_a_text():
    assert SequenceLevel()(["a", "b", "a"], None, None) == ["a", "b"]
    config = composed("compress", ["augmentation=sequence_level", f"paths.outputs={Path('unused')}"])
    with pytest.raises(
        MillisError, match=r"^augmentation=sequence_level has the teacher write an answer for each train"
    ):
        run_of(config)
