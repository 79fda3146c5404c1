"""What is trained is what was asked for, also where several methods meet, and also after a break."""

from dataclasses import replace
from types import SimpleNamespace

import pytest
import torch

from millis import models
from millis.cli.pipeline import student
from millis.cli.pipeline.student import ensure_student, plan, settled
from millis.cli.pipeline.teacher import teacher_fingerprint
from millis.errors import MillisError
from millis.models import anatomy
from millis.quantization.arithmetic import arithmetic
from millis.quantization.qat import Aware
from millis.quantization.spec import Quantization

FFN = 64
LONG = ["trainer.max_epochs=4", "trainer.patience=4"]


def made(config, teacher, *overrides):
    cfg = config(*LONG, *overrides)
    planned = plan(cfg, teacher)
    return ensure_student(cfg, teacher, planned)[0], settled(cfg, teacher, planned)


def matrices(model):
    """The linear layers' weights of the encoder's blocks."""
    layers = anatomy.find(model.spec["encoder"]["model_type"]).layers(model.encoder)
    names = ("query", "key", "value", "attention_output", "ffn_in", "ffn_out")
    return [getattr(layer, name).weight for layer in layers for name in names]


def test_augmentation_that_changes_nothing_is_refused(config, teacher):
    recipe = SimpleNamespace(augmentation=lambda texts, tokenizer, table: [], stages=[])
    with pytest.raises(MillisError, match="augmentation changed no text of the training split; choose another, or"):
        student.Lesson.of(config(), teacher, recipe, teacher.tokenizer)


def test_weights_that_were_pruned_are_zero(config, teacher):
    model, _ = made(config, teacher, "pruning=magnitude", "pruning.sparsity=0.75")
    zeros = sum(int((weight == 0).sum()) for weight in matrices(model))
    assert zeros / sum(weight.numel() for weight in matrices(model)) == pytest.approx(0.75, abs=0.03)


def test_rounding_that_follows_pruning_keeps_the_zeros_and_ends_on_the_grid(config, teacher):
    model, _ = made(config, teacher, "pruning=magnitude", "pruning.sparsity=0.75", "quantization=qat")
    weights = matrices(model)
    assert sum(int((weight == 0).sum()) for weight in weights) / sum(w.numel() for w in weights) >= 0.72
    largest = arithmetic(Quantization(aware=Aware())).matrix.grid.high  # 127, or 64 where u8 x s8 products saturate
    for weight in weights:
        steps = weight.abs().amax(dim=1, keepdim=True).clamp(min=1e-9) / largest
        assert torch.allclose(weight / steps, (weight / steps).round(), atol=1e-3), "not on its row's int8 grid"


def test_neurons_that_were_pruned_are_gone(config, teacher):
    model, planned = made(config, teacher, "pruning=neurons", "pruning.sparsity=0.5")
    assert sum(model.spec["shape"]["ffn"]) == FFN  # half of two layers of 64
    assert planned.settled
    assert planned.spec == model.spec
    assert "pruned 50%" in planned.name


def test_neurons_of_a_student_with_its_own_vocabulary_are_pruned(config, teacher):
    model, _ = made(config, teacher, "factorization=vocabulary", "pruning=neurons", "pruning.sparsity=0.5")
    assert sum(model.spec["shape"]["ffn"]) == FFN
    assert model.spec["encoder"]["vocab_size"] <= teacher.manifest.spec["encoder"]["vocab_size"]


def test_equal_shares_are_known_before_training(config, teacher):
    planned = plan(config("pruning=neurons", "pruning.sparsity=0.5", "pruning.allocation=local"), teacher)
    assert planned.settled
    assert planned.spec["shape"]["ffn"] == [FFN // 2, FFN // 2]
    assert not plan(config("pruning=neurons", "pruning.sparsity=0.5"), teacher).settled


def test_exits_that_are_trained_after_rounding_forget_the_integers_from_before(config, teacher):
    model, _ = made(config, teacher, "early_exit=two_stage", "quantization=qat_lsq")
    layers = {name.rsplit(".", 2)[0] for name in model.quantization}
    assert any(name.startswith("encoder.") for name in layers)
    assert not any(name.startswith("exits.") for name in layers)


def test_a_teacher_of_another_seed_than_the_students(config, teacher):
    apart = [config(*overrides) for overrides in ((), ("seed=7", "teacher.seed=0"), ("seed=7",), ("teacher.seed=7",))]
    first, same, other, named = (teacher_fingerprint(cfg, teacher.inputs) for cfg in apart)
    assert first == same != other == named


def test_an_ensemble_teaches_the_mean_of_its_answers(config, teacher, monkeypatch):
    heard = {}
    monkeypatch.setattr(student, "ensemble", lambda logits, temperature: heard.update(logits) or logits["1"])
    made(config, teacher, "ensemble=[1]", "distillation.alpha=1.0")
    assert set(heard) == {"teacher", "1"}
    assert (heard["teacher"].logits[0] != heard["1"].logits[0]).any(), "the second teacher is the first"


def test_extra_texts_bear_the_teachers_answers(config, teacher):
    cfg = config("augmentation=typos")
    recipe = student.Recipe.of(cfg)
    lesson = student.Lesson.of(cfg, teacher, recipe, teacher.tokenizer)
    own = len(teacher.inputs.dataset.train)
    assert len(lesson.texts) > own
    assert lesson.texts.references[own:] == lesson.logits().categories[own:]


@pytest.fixture
def better_read(teacher):
    """The teacher, and texts that only it answers."""
    dataset = replace(teacher.inputs.dataset, unlabelled=["where is my money", "nobody has seen this", "send it"])
    return replace(teacher, inputs=replace(teacher.inputs, dataset=dataset))


def test_texts_without_labels_bear_the_teachers_answers_beside_augmented_ones(config, better_read):
    own, further = len(better_read.inputs.dataset.train), better_read.inputs.dataset.unlabelled
    for overrides, more in (([], 0), (["augmentation=typos"], 1)):
        cfg = config(*overrides)
        lesson = student.Lesson.of(cfg, better_read, student.Recipe.of(cfg), better_read.tokenizer)
        assert lesson.texts.texts[own : own + 3] == further
        assert len(lesson.texts) >= own + 3 + more
        assert lesson.texts.references[own:] == lesson.logits().categories[own:]


@pytest.mark.parametrize("kind", [[], ["student=ngrams"]])
def test_who_learns_from_further_texts_is_another_student(config, teacher, better_read, kind):
    cfg = config(*kind, "trainer.max_epochs=1")
    plain, further = plan(cfg, teacher), plan(cfg, better_read)
    assert plain.fingerprint != further.fingerprint
    ones, others = (ensure_student(cfg, who, what)[0] for who, what in ((teacher, plain), (better_read, further)))
    assert any(not torch.equal(a, b) for a, b in zip(ones.parameters(), others.parameters(), strict=True))


def test_a_student_of_labels_alone_reads_no_further_texts(config, teacher, better_read):
    cfg = config("distillation=none")
    assert plan(cfg, teacher).fingerprint == plan(cfg, better_read).fingerprint
    lesson = student.Lesson.of(cfg, better_read, student.Recipe.of(cfg), better_read.tokenizer)
    assert len(lesson.texts) == len(better_read.inputs.dataset.train)


def test_a_run_broken_off_between_phases_goes_on(config, teacher, monkeypatch):
    """The second phase fails at first; what the next attempt ends with is what an unbroken run ends with."""
    overrides = ["pruning=neurons", "quantization=qat", "seed=0"]
    whole, _ = made(config, teacher, *overrides, "distillation.alpha=0.61")
    cfg = config(*LONG, *overrides, "distillation.alpha=0.61")
    planned = plan(cfg, teacher)
    original = student.Lesson.train
    trained = []

    def once_broken(self, phase, *rest, **options):
        trained.append(phase.stage.name)
        if len(trained) == 2:
            raise KeyboardInterrupt
        return original(self, phase, *rest, **options)

    monkeypatch.setattr(student.Lesson, "train", once_broken)
    with pytest.raises(KeyboardInterrupt):
        student.train_student(cfg, teacher, planned)
    again, fitted = student.train_student(cfg, teacher, planned)
    assert trained == ["pruning", "quantization", "pruning", "quantization"]
    assert again.spec == whole.spec
    assert all(torch.equal(a, b) for a, b in zip(again.parameters(), whole.parameters(), strict=True))
    assert fitted.epochs == 4


def test_what_is_kept_is_built_from_its_own_spec(config, teacher):
    model, _ = made(config, teacher, "factorization=svd")
    assert model.spec["ranks"]
    twin = models.build(model.spec)
    twin.load_state_dict(model.state_dict())
