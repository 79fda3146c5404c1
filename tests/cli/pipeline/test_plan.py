"""What a recipe is made of, and which combinations are refused."""

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
        (["ensemble=[1]", "distillation=logits", "distillation.cache=false"], "ensemble needs cached answers"),
    ],
)
def test_contradictions_are_refused_with_the_reason(overrides, message):
    with pytest.raises(MillisError, match=message):
        recipe(*overrides)


def test_groups_that_are_none_leave_the_fingerprint_alone():
    cfg = composed("compress", [])
    assert len(Recipe.of(cfg).parts(cfg)) == 4  # student, distillation, optimizer, trainer


@pytest.mark.parametrize("override", ["pruning=heads", "quantization=qat", "factorization=svd", "ensemble=[1]"])
def test_a_method_is_part_of_the_fingerprint(override):
    cfg = composed("compress", [override])
    assert len(Recipe.of(cfg).parts(cfg)) == 5


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
