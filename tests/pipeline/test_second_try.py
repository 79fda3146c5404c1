"""A second try: which teacher learned nothing, and what becomes of it."""

from types import SimpleNamespace

import pytest
from recipes import tuning

from millis.cli.recipes import fine_tuning_of, place_of
from millis.data.candidates import Graded
from millis.errors import MillisError
from millis.pipeline import second_try
from millis.pipeline.teacher import ensure_teacher
from millis.tasks.classification import Classification
from millis.tasks.judging import item_scores
from millis.tasks.ranking import Ranking
from millis.tasks.regression import Regression
from millis.tasks.sequence_to_sequence import SequenceToSequence
from millis.training.fit import Fit, Fitted
from millis.training.optim import AdamW


def inputs(labels, score):
    dataset = SimpleNamespace(validation=SimpleNamespace(references=labels))
    return SimpleNamespace(dataset=dataset, score=score, task=Classification(labels=("no", "yes")))


def accuracy(predictions, references):
    return 100 * sum(a == b for a, b in zip(predictions, references, strict=True)) / len(references)


@pytest.mark.parametrize(("quality", "learned"), [(50.0, False), (54.9, False), (55.1, True), (40.0, False)])
def test_a_teacher_has_to_be_a_standard_error_above_the_most_frequent_label(quality, learned):
    # Half of 100 labels: a standard error of 100 · sqrt(0.5 · 0.5 / 100) = 5 points.
    assert second_try.learned(Fitted(quality, 2, 1.0, []), inputs([0, 1] * 50, accuracy)) is learned


def test_a_teacher_of_numbers_is_judged_as_it_learned_them():
    # Numbers around 50 with a deviation of 10: the mean errs by 1 deviation, a teacher that errs by less has learned.
    numbers = [40.0, 60.0] * 50
    found = inputs(numbers, lambda ours, theirs: -(sum((a - b) ** 2 for a, b in zip(ours, theirs, strict=True)) / 100))
    found.task = Regression(metric="rmse", also=(), mean=50.0, deviation=10.0)
    assert second_try.learned(Fitted(-0.9, 2, 1.0, []), found) and not second_try.learned(
        Fitted(-1.1, 2, 1.0, []), found
    )


def test_a_teacher_of_scores_has_to_beat_a_random_order():
    # One right candidate of two: a random order finds it at place 1 in half of the queries.
    found = inputs([Graded(row // 2, row % 2, 0.5) for row in range(200)], None)
    found.task = Ranking(metric="recall_at_1", also=())
    found.score = lambda ours, theirs: item_scores(found.task, ours, theirs)["recall_at_1"]
    assert second_try.learned(Fitted(50.1, 2, 1.0, []), found) and not second_try.learned(
        Fitted(50.0, 2, 1.0, []), found
    )


def test_a_metric_of_what_is_written_judges_no_training():
    # Minus a perplexity of 9 is below any BLEU: the two are no scale.
    found = inputs(["ein Satz", "noch ein Satz"] * 60, None)
    found.task = SequenceToSequence()
    assert second_try.learned(Fitted(-9.0, 2, 1.0, []), found)


def test_few_texts_and_undefined_metrics_judge_nobody():
    def undefined(*_):
        raise MillisError("undefined")

    assert second_try.learned(Fitted(10.0, 2, 1.0, []), inputs([0, 1] * 49, accuracy))
    assert second_try.learned(Fitted(10.0, 2, 1.0, []), inputs([0, 1] * 50, undefined))


def test_the_better_of_two_tries_is_the_teacher_and_its_note_says_so(config, monkeypatch, capfd):
    monkeypatch.setattr(second_try, "learned", lambda *_: False)
    cfg = config("teacher.seed=11", "teacher.optimizer.lr=1e-3", "teacher.trainer.max_epochs=2")
    teacher = ensure_teacher(fine_tuning_of(cfg), place_of(cfg))
    first, again = capfd.readouterr().err.split("is no better than answering all texts alike: ")
    assert "epoch 2/2" in first
    assert again.startswith("training again at teacher.optimizer.lr=0.00025\n")
    assert "epoch 2/2" in again
    taken = teacher.manifest.recipe["teacher"]["optimizer"]["lr"]
    which = "the second is taken" if taken == pytest.approx(2.5e-4) else "the first is taken; do not trust its students"
    assert teacher.note.startswith("teacher: at teacher.optimizer.lr=0.001 it learned nothing (validation ")
    assert "so it was trained again at 0.00025 (validation " in teacher.note
    assert teacher.note.endswith(which)
    assert ensure_teacher(fine_tuning_of(cfg), place_of(cfg)) is teacher
    assert capfd.readouterr().err == ""


def test_the_second_try_is_the_first_at_a_quarter_of_its_rate():
    first = tuning(optimizer=AdamW(0.4, 0.2))
    assert second_try.slower(first) == tuning(optimizer=AdamW(0.1, 0.2))


def test_a_teacher_that_is_not_trained_has_no_second_try():
    assert second_try.slower(tuning(trainer=Fit(0))) is None


def test_a_teacher_that_learned_has_no_note(teacher):
    assert teacher.note == ""
