"""What a recipe is made of, and which combinations are refused."""

from dataclasses import replace
from types import SimpleNamespace

import pytest

from millis.cli.hydra_app import composed
from millis.cli.pipeline.plan import Recipe
from millis.cli.pipeline.student import phases_of
from millis.errors import MillisError


def recipe(*overrides):
    return Recipe.of(composed("compress", list(overrides)))


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        (["student=teacher", "pruning=heads"], "pruning happens while a student trains, and student=teacher is not"),
        (["student=teacher", "quantization=qat"], "quantization.aware happens while a student trains"),
        (["student=teacher", "augmentation=typos"], r"augmentation=none$"),
        (["adapter=lora", "pruning=magnitude"], "adapter and pruning in one training contradict each other"),
        (["adapter=lora", "quantization=qat"], "adapter and quantization.aware in one training contradict"),
        (["factorization=svd", "pruning=neurons"], "finds no matrices to cut: their rows and columns are mixed"),
        (["quantization=qat", "backend=eager"], "imitates ONNX Runtime's integers, and backend=eager computes others"),
        (["student=teacher", "early_exit=joint"], "early_exit happens while a student trains, and student=teacher is"),
        (["early_exit=joint", "adapter=lora"], "an adapter freezes all but the last. Choose adapter=none"),
        (
            ["early_exit=two_stage", "distillation=annealed"],
            "distillation.alpha is a schedule. Choose a number for dis",
        ),
        (["early_exit=joint", "pruning=layers"], "pruning whole layers while they train would take the layers away"),
        (["student=teacher", "tokens=learned"], "tokens happens while a student trains, and student=teacher is not"),
        (["tokens=learned", "early_exit=joint"], "an exit would answer from tokens that the next layers drop"),
        (["tokens=learned", "backend=inductor"], "has no sizes that depend on values. Choose backend=onnxruntime"),
        (["tokens=learned", "adapter=lora"], "an adapter freezes all but its own. Choose adapter=none"),
        (["tokens=learned", "pruning=layers"], "leaves nothing to read. Choose fewer layers or heads from the start"),
        (["tokens=learned", "pruning=heads"], "leaves nothing to read. Choose fewer layers or heads from the start"),
        (["tokens=learned", "pruning=l0"], "leaves nothing to read. Choose fewer layers or heads from the start"),
        (["tokens=learned", "distillation=minilmv2"], "compares hidden states or attention of all of them. Choose dis"),
        (["tokens=learned", "distillation=tinybert"], "compares hidden states or attention of all of them. Choose dis"),
        (
            ["student=ngrams", "pruning=magnitude"],
            r"pruning happens while a student trains, and student=ngrams is fitted at once. .* or pruning=none$",
        ),
        (["student=ngrams", "quantization=qat"], r"student=ngrams is fitted at once. .* or quantization=dynamic$"),
        (["student=ngrams", "adapter=lora"], r"adapter happens while .* student=ngrams is fitted at once"),
        (["student=ngrams", "early_exit=joint"], r"early_exit happens while .* student=ngrams is fitted at once"),
        (["student=ngrams", "tokens=learned"], r"tokens happens while .* student=ngrams is fitted at once"),
        (["student=ngrams", "augmentation=typos"], r"augmentation happens while .* student=ngrams is fitted at once"),
        (["student=ngrams", "pruning=to_latency"], "student.bits for fewer rows, and pruning=n"),
        (["student=ngrams", "factorization=vocabulary"], r"one table with a row an n-gram.*and factorization=none$"),
        (["student=ngrams", "factorization=svd"], r"one table with a row an n-gram.*and factorization=none$"),
        (["student=ngrams", "distillation=annealed"], r"is a schedule. Choose a number for distillation.alpha$"),
        (["student=ngrams", "distillation=hidden"], "compares hidden states or attention, and student=ngrams has none"),
        (["student=ngrams", "distillation=tinybert"], "and student=ngrams has none: .* Choose distillation=logits or"),
        (["student=ngrams", "ensemble=[1]"], r"ensemble=\[1\] teaches a student that trains, .*Choose ensemble=\[\]"),
        (["ensemble=[1]", "distillation=logits", "distillation.cache=false"], "ensemble needs cached answers"),
        (["ensemble=[1]", "distillation=logit_mse"], "distillation.logit_loss=logit_mse fits the level too. Choose"),
        (["ensemble=[1,0]"], r"ensemble=\[1, 0\] beside teacher.seed=0 hears the teacher of seed 0 twice: expected"),
        (["ensemble=[1,1]"], r"hears the teacher of seed 1 twice: expected seeds that differ"),
        (
            ["ensemble=[1]", "distillation=none"],
            "averages what teachers answer, and this distillation hears no answers",
        ),
    ],
)
def test_contradictions_are_refused_with_the_reason(overrides, message):
    with pytest.raises(MillisError, match=message):
        recipe(*overrides)


def test_groups_that_are_none_leave_the_fingerprint_alone():
    cfg = composed("compress", [])
    assert len(Recipe.of(cfg).parts(cfg)) == 4  # student, distillation, optimizer, trainer
    cfg = composed("compress", ["student=ngrams"])
    assert len(Recipe.of(cfg).parts(cfg)) == 2  # student, distillation


@pytest.mark.parametrize("override", ["pruning=heads", "quantization=qat", "factorization=svd", "ensemble=[1]"])
def test_a_method_is_part_of_the_fingerprint(override):
    cfg = composed("compress", [override])
    assert len(Recipe.of(cfg).parts(cfg)) == 5


@pytest.mark.parametrize("override", ["policy=patience", "quality_drop=2", "confidence=0.9"])
def test_another_policy_or_drop_needs_no_other_weights(override):
    plain, other = (composed("compress", ["early_exit=joint", *more]) for more in ([], [f"early_exit.{override}"]))
    assert Recipe.of(plain).parts(plain) == Recipe.of(other).parts(other)
    deeper = composed("compress", ["early_exit=joint", "early_exit.layers=[1]"])
    assert Recipe.of(plain).parts(plain) != Recipe.of(deeper).parts(deeper)


@pytest.mark.parametrize("override", ["early_exit=joint", "quantization=qat", "tokens=learned"])
def test_what_a_backend_cannot_do_is_not_asked_of_auto(override):
    """Its candidates are asked, each for itself."""
    recipe(override, "backend=auto")
    with pytest.raises(MillisError, match=r"backend=inductor"):
        recipe(override, "backend=inductor")


def test_a_backend_without_segments_is_refused_with_the_reason():
    exits = recipe("early_exit=joint")
    with pytest.raises(
        MillisError, match=r"backend=whole runs it as a whole\. Choose backend=onnxruntime, openvino or eager"
    ):
        replace(exits, backend=SimpleNamespace(name="whole")).check()


def test_exits_alone_come_after_what_changes_the_model():
    phases = phases_of(recipe("early_exit=two_stage", "pruning=heads"))
    assert [(phase.stage.name, phase.prunes, phase.stage.trains) for phase in phases] == [
        ("distillation", True, None), ("exits", False, "exits.")
    ]  # fmt: skip


def test_thresholds_are_learned_before_rounding():
    phases = phases_of(recipe("tokens=learned", "quantization=qat"))
    assert [(phase.drops_tokens, phase.quantizes) for phase in phases] == [(True, False), (False, True)]


def test_quantization_after_training_is_not():
    cfg = composed("compress", ["quantization=static"])
    assert len(Recipe.of(cfg).parts(cfg)) == 4


def test_pruning_and_rounding_take_turns_in_the_last_stage():
    phases = phases_of(recipe("distillation=tinybert", "pruning=heads", "quantization=qat"))
    assert [phase.stage.name for phase in phases] == ["features", "pruning", "quantization"]
    assert [(phase.prunes, phase.quantizes) for phase in phases] == [(False, False), (True, False), (False, True)]
    assert sum(phase.stage.share for phase in phases) == pytest.approx(1)
    assert phases[2].stage.share == pytest.approx(0.3 * (1 - phases[0].stage.share))


def test_one_method_needs_no_phase_of_its_own():
    (phase,) = phases_of(recipe("pruning=heads"))
    assert phase.prunes
    assert not phase.quantizes


def test_names_tell_what_was_done():
    assert recipe("factorization=svd", "pruning=magnitude", "augmentation=typos").words == [
        "svd 0.5", "pruned 50%", "augmented"
    ]  # fmt: skip
    assert recipe("early_exit=joint", "early_exit.policy=maximum_probability").words == ["exits maximum probability"]
