"""What is trained is what was asked for, also where several methods meet, and also after a break."""

from dataclasses import replace

import pytest
import torch

from millis import models
from millis.backends.onnx.arithmetic import arithmetic
from millis.models import anatomy
from millis.pipeline import lesson, student
from millis.pipeline.lesson import Lesson
from millis.pipeline.runtime import with_runtime
from millis.pipeline.student import ensure_student, phases_of, plan, settled
from millis.quantization.qat import Aware
from millis.quantization.spec import Quantization

FFN = 64
LONG = ["trainer.max_epochs=4", "trainer.patience=4"]


def made(asked, *overrides):
    run, _ = with_runtime(asked(*LONG, *overrides))
    planned = plan(run)
    return ensure_student(run, planned)[0], settled(run, planned)


def matrices(model):
    """The linear layers' weights of the encoder's blocks."""
    layers = anatomy.find(model.spec.kind).layers(model.encoder)
    names = ("query", "key", "value", "attention_output", "ffn_in", "ffn_out")
    return [getattr(layer, name).weight for layer in layers for name in names]


def test_weights_that_were_pruned_are_zero(asked):
    model, _ = made(asked, "pruning=magnitude", "pruning.sparsity=0.75")
    zeros = sum(int((weight == 0).sum()) for weight in matrices(model))
    assert zeros / sum(weight.numel() for weight in matrices(model)) == pytest.approx(0.75, abs=0.03)


def test_rounding_that_follows_pruning_keeps_the_zeros_and_ends_on_the_grid(asked):
    model, _ = made(asked, "pruning=magnitude", "pruning.sparsity=0.75", "quantization=qat")
    weights = matrices(model)
    assert sum(int((weight == 0).sum()) for weight in weights) / sum(w.numel() for w in weights) >= 0.72
    largest = arithmetic(Quantization(aware=Aware())).matrix.grid.high  # 127, or 64 where u8 x s8 products saturate
    for weight in weights:
        steps = weight.abs().amax(dim=1, keepdim=True).clamp(min=1e-9) / largest
        assert torch.allclose(weight / steps, (weight / steps).round(), atol=1e-3), "not on its row's int8 grid"


def test_neurons_that_were_pruned_are_gone(asked):
    model, planned = made(asked, "pruning=neurons", "pruning.sparsity=0.5")
    assert sum(model.spec.shape.ffn) == FFN  # half of two layers of 64
    assert planned.settled
    assert planned.spec == model.spec
    assert "pruned 50%" in planned.name


def test_neurons_of_a_student_with_its_own_vocabulary_are_pruned(asked, teacher):
    model, _ = made(asked, "factorization=vocabulary", "pruning=neurons", "pruning.sparsity=0.5")
    assert sum(model.spec.shape.ffn) == FFN
    assert model.spec.encoder["vocab_size"] <= teacher.manifest.spec.encoder["vocab_size"]


def test_equal_shares_are_known_before_training(asked):
    planned = plan(asked("pruning=neurons", "pruning.sparsity=0.5", "pruning.allocation=local"))
    assert planned.settled
    assert planned.spec.shape.ffn == (FFN // 2, FFN // 2)
    assert not plan(asked("pruning=neurons", "pruning.sparsity=0.5")).settled


def test_exits_that_are_trained_after_rounding_forget_the_integers_from_before(asked):
    model, _ = made(asked, "early_exit=two_stage", "quantization=qat_lsq")
    layers = {name.rsplit(".", 2)[0] for name in model.quantization}
    assert any(name.startswith("encoder.") for name in layers)
    assert not any(name.startswith("exits.") for name in layers)


def test_an_ensemble_teaches_the_mean_of_its_answers(asked, monkeypatch):
    heard = {}
    monkeypatch.setattr(lesson, "ensemble", lambda logits, temperature: heard.update(logits) or logits["1"])
    made(asked, "ensemble=[1]", "distillation.alpha=1.0")
    assert set(heard) == {"teacher", "1"}
    assert (heard["teacher"].logits[0] != heard["1"].logits[0]).any(), "the second teacher is the first"


@pytest.mark.parametrize("kind", [[], ["student=ngrams"]])
def test_who_learns_from_further_texts_is_another_student(asked, better_read, kind):
    plain = asked(*kind, "trainer.max_epochs=1")
    further = replace(plain, teacher=better_read)
    assert plan(plain).fingerprint != plan(further).fingerprint
    ones, others = (ensure_student(run, plan(run))[0] for run in (plain, further))
    assert any(not torch.equal(a, b) for a, b in zip(ones.parameters(), others.parameters(), strict=True))


def test_a_student_of_labels_alone_reads_no_further_texts(asked, better_read):
    plain = asked("distillation=none")
    further = replace(plain, teacher=better_read)
    assert plan(plain).fingerprint == plan(further).fingerprint
    texts = Lesson.of(further, better_read.tokenizer).texts
    assert len(texts) == len(better_read.inputs.dataset.train)


def test_a_run_broken_off_between_phases_goes_on(asked, monkeypatch):
    """The second phase fails at first; what the next attempt ends with is what an unbroken run ends with."""
    overrides = ["pruning=neurons", "quantization=qat", "seed=0"]
    whole, _ = made(asked, *overrides, "distillation.alpha=0.61")
    run, _ = with_runtime(asked(*LONG, *overrides, "distillation.alpha=0.61"))
    planned = plan(run)
    original = Lesson.train
    trained = []

    def once_broken(self, phase, *rest, **options):
        trained.append(phase.stage.name)
        if len(trained) == 2:
            raise KeyboardInterrupt
        return original(self, phase, *rest, **options)

    monkeypatch.setattr(Lesson, "train", once_broken)
    with pytest.raises(KeyboardInterrupt):
        student.train_student(run, planned)
    again, fitted = student.train_student(run, planned)
    assert trained == ["pruning", "quantization", "pruning", "quantization"]
    assert again.spec == whole.spec
    assert all(torch.equal(a, b) for a, b in zip(again.parameters(), whole.parameters(), strict=True))
    assert fitted.epochs == 4


def test_what_is_kept_is_built_from_its_own_spec(asked):
    model, _ = made(asked, "factorization=svd")
    assert model.spec.ranks
    twin = models.build(model.spec)
    twin.load_state_dict(model.state_dict())


def test_exits_alone_come_after_what_changes_the_model(asked):
    phases = phases_of(asked("early_exit=two_stage", "pruning=heads").recipe)
    assert [(phase.stage.name, phase.prunes, phase.stage.trains) for phase in phases] == [
        ("distillation", True, None), ("exits", False, "exits.")
    ]  # fmt: skip


def test_thresholds_are_learned_before_rounding(asked):
    phases = phases_of(asked("tokens=learned", "quantization=qat").recipe)
    assert [(phase.drops_tokens, phase.quantizes) for phase in phases] == [(True, False), (False, True)]


def test_pruning_and_rounding_take_turns_in_the_last_stage(asked):
    phases = phases_of(asked("distillation=tinybert", "pruning=heads", "quantization=qat").recipe)
    assert [phase.stage.name for phase in phases] == ["features", "pruning", "quantization"]
    assert [(phase.prunes, phase.quantizes) for phase in phases] == [(False, False), (True, False), (False, True)]
    assert sum(phase.stage.share for phase in phases) == pytest.approx(1)
    assert phases[2].stage.share == pytest.approx(0.3 * (1 - phases[0].stage.share))


def test_one_method_needs_no_phase_of_its_own(asked):
    (phase,) = phases_of(asked("pruning=heads").recipe)
    assert phase.prunes
    assert not phase.quantizes
