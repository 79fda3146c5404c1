"""What a recipe is made of, and which combinations are refused."""

from dataclasses import replace
from types import SimpleNamespace

import pytest
from labelled import outputs
from recipes import recipe

from millis.backends.cuda import Cuda
from millis.backends.eager import Eager
from millis.backends.native import Native
from millis.backends.onnxruntime import OnnxRuntime
from millis.backends.onnxruntime_genai import OnnxRuntimeGenai
from millis.backends.openvino import OpenVino
from millis.cli.hydra_app import composed
from millis.cli.recipes import recipe_of
from millis.distillation.logit_distillation import LogitDistillation
from millis.errors import MillisError
from millis.generation.greedy import Greedy
from millis.generation.sampling import Sampling
from millis.models.student import Teacher
from millis.pruning.to_latency import ToLatency
from millis.quantization.spec import Calibration, Quantization
from millis.storage.archived import Archived
from millis.storage.sharing import Sharing
from millis.training.fit import Fit
from millis.types import Output


def configured(*overrides):
    return recipe_of(composed("compress", list(overrides)))


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        (["student=teacher", "pruning=heads"], "pruning happens while a student trains, and student=teacher is not"),
        (["student=teacher", "quantization=qat"], "quantization.aware happens while a student trains"),
        (["student=teacher", "augmentation=typos"], r"augmentation=none$"),
        (
            ["backend=native", "backend.precision=bf16", "quantization=dynamic"],
            r"^backend.precision=bf16 computes with",
        ),
        (
            ["student=elastic", "distillation=on_policy"],
            "distillation has one student write what it learns from. Choose",
        ),
        (["adapter=lora", "pruning=magnitude"], "adapter and pruning in one training contradict each other"),
        (["adapter=lora", "quantization=qat"], "adapter and quantization.aware in one training contradict"),
        (["backend=onnxruntime_genai", "pruning=heads"], "different numbers of heads, which backend=onnxruntime_genai"),
        (["backend=onnxruntime_genai", "early_exit=joint"], "and backend=onnxruntime_genai runs whole models. Choose"),
        (["factorization=svd", "pruning=neurons"], "finds no matrices to cut: their rows and columns are mixed"),
        (["quantization=qat", "backend=eager"], "imitates the integers of onnxruntime and native, and backend=eager"),
        (["student=teacher", "early_exit=joint"], "early_exit happens while a student trains, and student=teacher is"),
        (["early_exit=joint", "adapter=lora"], "an adapter freezes all but the last. Choose adapter=none"),
        (
            ["early_exit=two_stage", "distillation=annealed"],
            "distillation.alpha is a schedule. Choose a number for dis",
        ),
        (["early_exit=joint", "pruning=layers"], "pruning whole layers while they train would take the layers away"),
        (["student=teacher", "tokens=learned"], "tokens happens while a student trains, and student=teacher is not"),
        (["tokens=learned", "early_exit=joint"], "an exit would answer from tokens that the next layers drop"),
        (["tokens=learned", "backend=inductor"], "has no sizes that depend on values. Choose backend=native"),
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
        configured(*overrides)


@pytest.mark.parametrize("override", ["early_exit=joint", "quantization=qat", "tokens=learned"])
def test_what_a_backend_cannot_do_is_not_asked_of_auto(override):
    """Its candidates are asked, each for itself."""
    configured(override, "backend=auto")
    with pytest.raises(MillisError, match=r"backend=inductor"):
        configured(override, "backend=inductor")


def test_a_backend_without_segments_is_refused_with_the_reason():
    exits = configured("early_exit=joint")
    with pytest.raises(
        MillisError, match=r"backend=whole runs it as a whole\. Choose backend=native, onnxruntime, openvino or eager"
    ):
        replace(exits, backend=SimpleNamespace(name="whole"))


def test_names_tell_what_was_done():
    assert configured("factorization=svd", "pruning=magnitude", "augmentation=typos").words == [
        "svd 0.5", "pruned 50%", "augmented"
    ]  # fmt: skip
    assert configured("early_exit=joint", "early_exit.policy=maximum_probability").words == [
        "exits maximum probability"
    ]


SHARED = Archived(1.0, ("zlib",), (Sharing(4, ()),))
STATIC = Quantization(activations="static", calibration=Calibration())


@pytest.mark.parametrize(
    ("parts", "words"),
    [
        ({"backend": Native()}, ["fp32"]),
        ({"backend": Native(), "quantization": Quantization()}, ["int8"]),
        ({"backend": Native(), "quantization": Quantization(), "storage": SHARED}, ["int8", "shared 4"]),
        ({"backend": OnnxRuntime(), "quantization": Quantization()}, ["int8", "onnxruntime"]),
        ({"backend": Native(cache="int8")}, ["fp32", "cache int8"]),
        ({"backend": OpenVino()}, ["fp32", "openvino"]),
        ({"backend": OpenVino("bf16")}, ["bf16", "openvino"]),
        ({"backend": OpenVino("bf16"), "quantization": STATIC}, ["int8 static", "openvino"]),
        ({"backend": Cuda("fp16")}, ["fp16", "cuda"]),
        ({"backend": OnnxRuntime(device="cuda")}, ["fp32", "onnxruntime", "cuda"]),
    ],
)
def test_names_end_with_bits_storage_and_where_it_runs(parts, words):
    assert recipe(**parts).deployed_words == words


def test_pruning_comes_before_training_or_grows_in_it():
    before, during = recipe(pruning=ToLatency(2.0)), configured("pruning=heads")
    assert before.to_latency is before.pruning and before.growing is None
    assert during.growing is during.pruning and during.to_latency is None
    assert (before.reshapes, before.timed) == (True, True)
    assert (during.reshapes, during.timed) == (False, False)


@pytest.mark.parametrize(
    ("overrides", "decide"),
    [
        (["quantization=static"], False),
        (["quantization=static", "quantization.fallback={_target_:millis.quantization.spec.Fallback}"], True),
        (["early_exit=joint"], True),
        (["tokens=learned"], True),
        (["pruning=heads", "storage=archive"], False),
    ],
)
def test_weights_decide_a_latency_where_they_say_what_is_computed(overrides, decide):
    assert configured(*overrides).weights_decide is decide


def test_a_reference_has_no_method_but_those_it_names():
    full = configured("pruning=heads", "augmentation=typos", "quantization=qat", "storage=archive", "ensemble=[1]")
    alone = full.alone(student=Teacher(), backend=Eager(), quantization=Quantization())
    chosen = {name: method for name, method in alone.methods.items() if method is not None}
    assert set(chosen) == {"student", "distillation", "backend", "quantization"}
    assert (alone.student, alone.backend, alone.quantization) == (Teacher(), Eager(), Quantization())
    assert (alone.ensemble, alone.blend, alone.seed) == ((), False, full.seed)


def test_what_it_is_made_of_is_said_as_a_config_has_it():
    said = recipe(ensemble=[1, 2], seed=3).described
    assert said["student"]["_target_"] == "millis.models.student.TransformerStudent"
    assert said["pruning"]["_target_"].endswith(".none")  # as `pruning=none` has it
    assert (said["ensemble"], said["blend"], said["seed"]) == ([1, 2], True, 3)
    assert set(said) == {*recipe().methods, "optimizer", "trainer", "ensemble", "blend", "seed"}


def test_a_student_that_trains_trains_for_an_epoch():
    with pytest.raises(MillisError, match=r"^trainer\.max_epochs=0: expected at least 1$"):
        recipe(trainer=Fit(0))
    recipe(student=Teacher(), trainer=Fit(0))


def test_a_teachers_answers_are_heard_where_a_stage_asks_for_them():
    assert recipe().hears_teacher
    assert not recipe(distillation=LogitDistillation(alpha=0.0)).hears_teacher


NEXT = (Output("next", "token", 0, "next"),)
LABEL = (Output("intent", "text", 3),)


def test_a_task_whose_models_write_has_a_way_and_a_backend_of_it():
    recipe(backend=Eager(), generation=Greedy()).check(NEXT, teacher_seed=0)
    recipe().check(LABEL, teacher_seed=0)


@pytest.mark.parametrize(("parts", "outputs", "message"), [
    ({"generation": Greedy()}, LABEL, "the task's answers are not written, so there is nothing to choose: "
     "generation=none"),
    ({"backend": Eager()}, NEXT, "the task's models write, and generation=none: expected a way, such as "
     "generation=greedy"),
    ({"backend": OpenVino(), "generation": Greedy()}, NEXT, "backend=openvino does not write token by token: choose "
     "native, onnxruntime or eager"),
])  # fmt: skip
def test_what_cannot_write_is_refused(parts, outputs, message):
    with pytest.raises(MillisError) as error:
        recipe(**parts).check(outputs, teacher_seed=0)
    assert str(error.value) == message


def test_a_reference_writes_as_the_recipe_does():
    way = Sampling(temperature=0.5)
    alone = recipe(backend=Eager(), generation=way).alone(student=Teacher(), backend=Native())
    assert alone.generation == way
    assert recipe().alone(student=Teacher(), backend=Native()).generation is None


def test_how_tokens_are_chosen_is_described_as_any_group():
    said = recipe(backend=Eager(), generation=Greedy(max_tokens=9)).described
    assert said["generation"]["_target_"].endswith("Greedy") and said["generation"]["max_tokens"] == 9
    assert recipe().described["generation"]["_target_"].endswith(".none")


def test_a_backend_that_only_writes_is_refused_for_labels():
    with pytest.raises(MillisError, match=r"backend=onnxruntime_genai answers what comes next in a text, and logits"):
        recipe(backend=OnnxRuntimeGenai()).check(outputs(2), teacher_seed=0)
