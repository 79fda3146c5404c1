"""Under which name each stage keeps its output: what changes the name, and what does not."""

from dataclasses import replace
from types import SimpleNamespace

import pytest
from recipes import TEACHER, recipe, run, tuning
from specs import static, transformer

from millis.backends.eager import Eager
from millis.benchmark.latency import HERE, Measurement, Options
from millis.data.bundled import Bundled
from millis.early_exit.recipe import EarlyExit
from millis.early_exit.training import Joint
from millis.factorization.vocabulary import Vocabulary
from millis.generation.greedy import Greedy
from millis.models.gguf.source import Gguf
from millis.models.load import Pretrained
from millis.models.ngram_student import NgramStudent
from millis.models.student import TransformerStudent
from millis.pipeline import keys
from millis.pipeline.plan import Plan
from millis.pipeline.runtime import Candidate, Choice
from millis.pipeline.teacher_search import TeacherSearch
from millis.pruning.to_latency import ToLatency
from millis.quantization.qat import Aware
from millis.quantization.spec import Calibration, Quantization
from millis.storage.archived import Archived
from millis.tasks.classification import Classification
from millis.tasks.intent_slots import IntentSlots
from millis.tasks.sequence_to_sequence import SequenceToSequence
from millis.token_pruning.recipe import TokenPruning
from millis.training.adapters import Lora
from millis.training.fit import Fit
from millis.training.optim import AdamW

STATIC = Quantization(activations="static", calibration=Calibration())
PACKED = Archived(1.0, ("zlib",), ())
EXITS = EarlyExit(Joint())


# The weights of teachers and students.


def of_teacher(rows="rows", **parts):
    asked = tuning(**parts)
    return keys.teacher(asked, SimpleNamespace(task=asked.task, data_fingerprint=rows))


@pytest.mark.parametrize(
    "parts",
    [
        {"seed": 1},
        {"optimizer": AdamW(2e-3, 1e-3)},
        {"trainer": Fit(2, accelerator="cpu")},
        {"adapter": Lora(("query",))},
        {"model": Pretrained("another")},
        {"task": Classification(max_length=64)},
        {"task": Classification(metric="macro_f1")},
        {"rows": "other rows"},
    ],
    ids=lambda parts: next(iter(parts)),
)
def test_what_a_teacher_learned_from_is_in_its_key(parts):
    assert of_teacher(**parts) != of_teacher() == of_teacher()


@pytest.mark.parametrize(
    "parts", [{"search": TeacherSearch()}, {"data": Bundled(limit=5)}, {"task": Classification(also=())}]
)
def test_what_a_teacher_did_not_learn_from_is_not(parts):
    """Which rows there are, wherever they were read, is said by their fingerprint."""
    assert of_teacher(**parts) == of_teacher()


ASKED, OTHERWISE = SequenceToSequence(), SequenceToSequence(instruction="German: ")


def test_what_is_put_before_every_text_is_read_and_takes_time():
    assert of_teacher(task=ASKED) != of_teacher(task=OTHERWISE)
    assert keys.latency(asked(task=ASKED), PLANNED, False) != keys.latency(asked(task=OTHERWISE), PLANNED, False)


def test_the_weight_of_a_loss_makes_another_teacher():
    assert of_teacher(task=IntentSlots()) != of_teacher(task=IntentSlots(slot_weight=5.0))


def test_a_model_in_a_folder_or_a_file_is_what_lies_there(tmp_path):
    def key():
        return of_teacher(model=Pretrained(str(tmp_path))), of_teacher(model=Gguf(str(tmp_path / "weights")))

    (tmp_path / "weights").write_text("one")
    first, again = key(), key()
    (tmp_path / "weights").write_text("two")
    assert first == again
    assert all(old != new for old, new in zip(first, key(), strict=True))


def weights(benchmark=None, **parts):
    return keys.weights(recipe(**parts), benchmark or Options())


def test_groups_that_are_none_leave_the_weights_key_alone():
    assert len(weights()) == 4  # student, distillation, optimizer, trainer
    assert len(weights(student=NgramStudent())) == 2  # student, distillation


@pytest.mark.parametrize(
    "method",
    [
        {"pruning": ToLatency(2.0)},
        {"factorization": Vocabulary()},
        {"adapter": Lora(("query",))},
        {"early_exit": EXITS},
        {"tokens": TokenPruning()},
        {"quantization": Quantization(aware=Aware())},
        {"ensemble": [1]},
    ],
    ids=lambda method: next(iter(method)),
)
def test_a_method_is_in_the_weights_key(method):
    *plain, chosen = weights(**method)
    assert plain == weights()
    assert next(iter(method)) in chosen


@pytest.mark.parametrize(
    "parts", [{"seed": 1}, {"backend": Eager()}, {"quantization": STATIC}, {"storage": PACKED}, {"blend": False}]
)
def test_what_comes_after_training_is_not(parts):
    assert weights(**parts) == weights()


@pytest.mark.parametrize("other", [{"policy": "patience"}, {"quality_drop": 2.0}, {"confidence": 0.9}])
def test_another_policy_or_drop_needs_no_other_weights(other):
    assert weights(early_exit=replace(EXITS, **other)) == weights(early_exit=EXITS)
    assert weights(early_exit=replace(EXITS, layers=[1])) != weights(early_exit=EXITS)


@pytest.mark.parametrize("other", [{"backend": Eager()}, {"quantization": STATIC}, {"benchmark": Options(threads=2)}])
def test_a_student_made_by_the_clock_is_of_its_backend_and_benchmark(other):
    assert weights(pruning=ToLatency(2.0), **other) != weights(pruning=ToLatency(2.0))
    assert weights(factorization=Vocabulary(), **other) == weights(factorization=Vocabulary())


@pytest.mark.parametrize("asked", [True, False])
def test_what_this_processor_makes_of_training_for_integers_is_in_the_key(monkeypatch, asked):
    monkeypatch.setattr(keys, "reduces_range", lambda quantization: asked)
    reduced = weights(quantization=Quantization(aware=Aware()))[-1]["quantization"]["reduce_range"]
    assert reduced == (True if asked else "auto")


def test_a_student_is_of_its_teacher_its_seed_and_what_it_learned_from():
    def key(teacher="teacher", weight=0.0, further=(), **parts):
        return keys.student(teacher, recipe(**parts), Options(), weight, further)

    others = [key("another"), key(seed=1), key(weight=0.5), key(further=["a text"]), key(student=NgramStudent())]
    assert len({key(), *others}) == 6
    assert key() == key(backend=Eager()) == key(weight=0.0, further=[])


def test_a_student_before_training_is_of_its_teacher_recipe_and_seed():
    def key(teacher="teacher", **parts):
        return keys.initial(teacher, recipe(factorization=Vocabulary(), **parts), Options())

    assert len({key(), key("another"), key(seed=1), key(student=TransformerStudent(layers=1))}) == 4
    assert key() == key(backend=Eager())


def test_answers_are_of_a_teacher_and_texts():
    for of in (keys.answers, keys.linear):
        assert len({of("teacher", ["a"]), of("teacher", ["b"]), of("another", ["a"])}) == 3
        assert of("teacher", ("a", "b")) == of("teacher", ["a", "b"])
    assert keys.blend("teacher") != keys.blend("another")


# What is measured.


@pytest.fixture(autouse=True)
def site(monkeypatch):
    """The machine that measures, wherever it is."""
    monkeypatch.setattr(keys, "site", lambda options: ["a processor"])


@pytest.mark.parametrize("other", [{"where": "http://phone:1"}, {"timeout_s": 9.0}, {"patience_s": 9.0}])
def test_an_agents_address_and_patience_change_no_measurement(other):
    assert Options().where == HERE
    assert keys.benchmark(Options(**other)) == keys.benchmark(Options())


def test_how_and_by_which_machine_is_measured_is_in_the_key(monkeypatch):
    assert len({keys.benchmark(options) for options in (Options(), Options(rounds=60), Options(seed=1))}) == 3
    here = keys.benchmark(Options())
    monkeypatch.setattr(keys, "site", lambda options: ["another processor"])
    assert keys.benchmark(Options()) != here


class Vocabularied:
    """A tokenizer, as far as a key is about it."""

    def __init__(self, text="pieces"):
        self.to_str = lambda: text


def asked(data="rows", notes=(), benchmark=None, task=None, **parts):
    """A run under a teacher that is made up as far as keys go."""
    task = task or Classification()
    inputs = SimpleNamespace(data_fingerprint=data, dataset=SimpleNamespace(notes=list(notes)), task=task)
    manifest = SimpleNamespace(spec=transformer(), max_length=8)
    teacher = SimpleNamespace(**vars(TEACHER), fingerprint="teacher", manifest=manifest, inputs=inputs)
    return run(
        recipe=recipe(**parts), teacher=teacher, benchmark=benchmark or Options(),
        tuning=tuning(task=task),
    )  # fmt: skip


PLANNED = Plan(static(), Vocabularied(), "static", trains=True, settled=True, fingerprint="weights")
RETRAINED = replace(PLANNED, fingerprint="other weights")


def test_a_latency_is_of_an_architecture_and_not_of_its_weights():
    plain = keys.latency(asked(), PLANNED, False)
    assert keys.latency(asked(seed=1, blend=False), RETRAINED, False) == plain
    assert keys.latency(asked(), replace(PLANNED, spec=static(size=8)), False) != plain
    assert keys.latency(asked(), replace(PLANNED, tokenizer=Vocabularied("fewer pieces")), False) != plain


@pytest.mark.parametrize(
    "other",
    [
        {"backend": Eager()}, {"quantization": Quantization()}, {"storage": PACKED}, {"benchmark": Options(rounds=60)},
        {"data": "other rows"},
    ],
    ids=lambda other: next(iter(other)),
)  # fmt: skip
def test_a_latency_is_of_what_is_deployed_and_how_it_is_measured(other):
    assert keys.latency(asked(**other), PLANNED, False) != keys.latency(asked(), PLANNED, False)


def test_where_weights_decide_a_latency_they_and_the_policy_are_in_its_key():
    patient = replace(EXITS, policy="patience")
    of = {
        keys.latency(asked(early_exit=exits), planned, True)
        for exits in (EXITS, patient)
        for planned in (PLANNED, RETRAINED)
    }
    assert len(of) == 4
    assert len({keys.latency(asked(early_exit=exits), PLANNED, False) for exits in (EXITS, patient)}) == 1


def test_a_choice_of_runtime_is_of_what_is_deployed_and_how_it_is_measured():
    def key(teacher="teacher", benchmark=None, **parts):
        return keys.runtime(teacher, recipe(**parts), benchmark or Options())

    others = [
        key("another"), key(seed=1), key(benchmark=Options(rounds=60)), key(quantization=Quantization()),
        key(student=TransformerStudent(layers=1)), key(storage=PACKED), key(early_exit=EXITS),
        key(tokens=TokenPruning()),
    ]  # fmt: skip
    assert len({key(), *others}) == 9
    assert key() == key(pruning=ToLatency(2.0)) == key(optimizer=AdamW(2e-3, 1e-3)), "the student is as it was cut"


MEASURED = Measurement({}, {}, [[1.0]], [[2.0]], {}, [], {})


def of_record(planned=PLANNED, kind="student", measured=MEASURED, choice=None, **parts):
    return keys.record(asked(**parts), planned, kind, measured, choice)


@pytest.mark.parametrize(
    "other",
    [
        {"planned": RETRAINED},
        {"kind": "baseline"},
        {"measured": replace(MEASURED, latency_ms=[[1.5]])},
        {"choice": Choice("eager", (Candidate("eager", "", 1.0, 2.0, 1.0),))},
        {"notes": ["2 rows were left out"]},
        {"task": Classification(also=())},
        {"backend": Eager()},
        {"quantization": Quantization()},
        {"storage": PACKED},
        {"early_exit": EXITS},
    ],
    ids=lambda other: next(iter(other)),
)
def test_what_a_record_tells_is_in_its_key(other):
    assert of_record(**other) != of_record() == of_record()


def test_what_led_to_the_same_weights_and_latency_makes_no_other_record():
    assert of_record(seed=1, optimizer=AdamW(2e-3, 1e-3), benchmark=Options(rounds=60)) == of_record()


def test_records_are_measured_together_in_any_order():
    one, two = SimpleNamespace(id="1", name="one"), SimpleNamespace(id="2", name="two")
    key = keys.together([one, two], Options())
    assert keys.together([two, one], Options()) == key
    renamed = SimpleNamespace(id="2", name="two #2")
    assert len({key, keys.together([one, renamed], Options()), keys.together([one, two], Options(seed=1))}) == 3


# What is written.


def test_how_tokens_are_chosen_needs_no_other_weights_but_another_artifact():
    assert weights(generation=Greedy()) == weights(generation=Greedy(max_tokens=9)) == weights()
    ways = [recipe(), recipe(generation=Greedy()), recipe(generation=Greedy(max_tokens=9))]
    said = [str(keys.deployed(way)) for way in ways]
    assert len(set(said)) == 3


def test_another_number_of_written_tokens_is_another_measurement():
    assert keys.benchmark(Options(new_tokens=16)) != keys.benchmark(Options()) == keys.benchmark(Options(new_tokens=32))
