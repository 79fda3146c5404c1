"""Elastic weights in the pipeline: trained once for all students, cut out, tuned, resumed, refused."""

from dataclasses import replace
from types import SimpleNamespace

import pytest
import torch

from millis.benchmark.latency import Measurement
from millis.elastic.slices import Slice
from millis.errors import MillisError
from millis.pipeline import compress, elastic, records
from millis.pipeline.elastic import elastic_key, elastic_training, ensure_elastic
from millis.pipeline.lesson import Lesson
from millis.pipeline.records import Made
from millis.pipeline.student import ensure_student, plan
from millis.training.module import TextModule

SIZES = ["student=elastic", "student.elastic.layers=[1,2]", "student.elastic.samples=8"]


def made(run):
    return ensure_student(run, plan(run))


def test_every_student_is_cut_out_of_weights_that_are_trained_once(asked, teacher, monkeypatch):
    large = ensure_elastic(asked(*SIZES))
    monkeypatch.setattr(elastic, "_trained", lambda *_: pytest.fail("they lie trained"))
    for overrides in (["student.layers=1", "student.ffn_size=0.25"], ["student.layers=2", "student.heads=1"]):
        run = asked(*SIZES, *overrides)
        small, fitted = made(run)
        ids = torch.tensor([[2, 5, 9, 3]])
        given = {"input_ids": ids, "attention_mask": torch.ones_like(ids)}
        at_size = Slice(large, run.recipe.student.setting(teacher.manifest.spec))
        with torch.inference_mode():
            torch.testing.assert_close(at_size(**given)[0], small(**given), atol=1e-5, rtol=0)
        assert (fitted.epochs, fitted.seconds) == (0, 0)
        assert fitted.quality == fitted.history[0]["validation/quality"]
    assert elastic_training(asked(*SIZES)).epochs == 2


def test_what_is_cut_out_is_not_in_their_key_and_what_trains_them_is(asked):
    key = elastic_key(asked(*SIZES))
    same = ["student.layers=1", "student.tune_epochs=1", "quantization=dynamic", "backend=eager"]
    assert elastic_key(asked(*SIZES, *same)) == key
    others = ["distillation.alpha=0.3", "trainer.max_epochs=3", "optimizer.lr=1e-3", "seed=1", "augmentation=typos",
              "student.elastic.sampled=1", "student/policy@student.elastic.policy=uniform"]  # fmt: skip
    assert len({key, *(elastic_key(asked(*SIZES, override)) for override in others)}) == 1 + len(others)


def test_tuning_goes_on_from_the_cut_and_says_what_it_added(asked):
    before = made(asked(*SIZES, "student.layers=1"))
    model, fitted = made(asked(*SIZES, "student.layers=1", "student.tune_epochs=1"))
    assert [row["epoch"] for row in fitted.history] == [0, 1]
    assert fitted.history[0]["validation/quality"] == before[1].quality
    assert fitted.epochs == 1
    assert not all(torch.equal(a, b) for a, b in zip(model.parameters(), before[0].parameters(), strict=True))


def test_a_training_that_was_broken_off_goes_on(asked, monkeypatch):
    """Killed after its epochs, before the weights were kept: those of an unbroken run, no step repeated."""
    run = asked(*SIZES, "seed=5", "teacher.seed=0")
    original, trained, steps, step = Lesson.through, [], [], TextModule.training_step
    monkeypatch.setattr(TextModule, "training_step", lambda *given: steps.append(given) or step(*given))

    def broken(self, *arguments, **options):
        trained.append(original(self, *arguments, **options)[0])
        if len(trained) == 1:
            raise KeyboardInterrupt
        return original(self, *arguments, **options)

    monkeypatch.setattr(Lesson, "through", broken)
    with pytest.raises(KeyboardInterrupt):
        ensure_elastic(run)
    taken = len(steps)
    again = ensure_elastic(run)
    assert taken and len(steps) == taken
    assert all(torch.equal(a, b) for a, b in zip(trained[0].parameters(), again.parameters(), strict=True))


def test_under_a_budget_that_no_size_keeps_nothing_is_trained(asked, monkeypatch):
    samples = [[3.0] * 4] * 12
    measured = Measurement(
        metrics={"latency_p50_ms": 3.0, "size_bytes": 50.0}, intervals={}, latency_ms=samples,
        reference_latency_ms=samples, stages_ms={}, notes=[], environment={}, processes=[0, 1, 2, 3] * 3,
    )  # fmt: skip
    monkeypatch.setattr(compress, "judged_latency", lambda *_: measured)
    monkeypatch.setattr(elastic, "model_once", lambda *_: pytest.fail("elastic weights were asked for"))
    outcome = compress.compress(asked(*SIZES, "student.layers=1", "seed=7", "budget.latency_p50_ms=2"))
    assert outcome.excess == {"latency_p50_ms": 0.5}


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        (["quantization=qat"], "happens while a student trains, and student=elastic with student.tune_epochs=0 is tak"),
        (["distillation=annealed"], "^student=elastic teaches all sizes by fixed shares of labels and teacher, and di"),
        (["trainer.max_epochs=0"], "^trainer.max_epochs=0: expected at least 1$"),
        (["trainer.adversarial=0.2"], "^trainer.adversarial=0.2 moves the word vectors of the largest student alone"),
    ],
)
def test_what_does_not_fit_is_refused_before_anything_is_trained(asked, overrides, message):
    with pytest.raises(MillisError, match=message):
        asked(*SIZES, *overrides)


def test_a_record_says_what_the_elastic_training_took_and_that_it_was_not_finished(asked, monkeypatch):
    run = asked(*SIZES, "student.layers=1")
    own = made(run)[1]
    monkeypatch.setattr(records, "elastic_training", lambda _: replace(own, seconds=12.0, epochs=4, rise=7.5))
    nothing = SimpleNamespace(notes=[], metrics={}, truncated=0, quantization=None, storage=None, task={})
    metrics, notes = records._particulars(run, plan(run), Made(None, own), nothing, nothing, nothing, "student")
    assert metrics == {"validation_rise_points": 7.5}
    assert any(note.startswith("validation still rose by 7.5 points in the last of 4 epochs") for note in notes)
    cut = "cut out of elastic weights, which were trained once, for all students of them, in 12 s; others: millis pick "
    assert any(note.startswith(f"{cut}artifact={run.place.outputs / 'elastic'}") for note in notes)
