"""The loop as functions of objects, on a task of a few rows."""

import numpy as np
import pytest
import torch
from tiny import INTENTS
from torch import nn
from transformers import BertConfig, BertForSequenceClassification, PreTrainedTokenizerFast

import millis
from millis import functions
from millis.backends.eager import Eager
from millis.benchmark.latency import Options
from millis.distillation.objective import Distillation
from millis.errors import MillisError
from millis.models import wordpiece
from millis.models.scratch import Scratch
from millis.models.static import StaticStudent
from millis.models.student import TransformerStudent
from millis.pipeline.compress import Skipped
from millis.pruning.to_latency import ToLatency
from millis.quantization.spec import Quantization
from millis.tasks.regression import Regression
from millis.training.adapters import Lora
from millis.training.fit import Fit
from millis.training.length import Length

BRIEF = Options(rounds=3, requests=4, warmup_seconds=0.2, settle_ms=0, processes=1)


def rows(count):
    found = [(" ".join(words[i:] + words[:i]), label) for label, text in INTENTS.items() for words in [text.split()]
             for i in range(count)]  # fmt: skip
    return [text for text, _ in found], [label for _, label in found]


DATA = {"train": rows(8), "validation": rows(3), "test": rows(4)}


@pytest.fixture(scope="module")
def teacher(tmp_path_factory):
    return millis.train(
        DATA,
        model=Scratch(layers=2, hidden_size=32, heads=2, ffn_size=64, vocab_size=120),
        trainer=Fit(2, batch_size=8),
        outputs=tmp_path_factory.mktemp("outputs"),
        benchmark=BRIEF,
    )


def test_a_teacher_brings_its_record(teacher):
    assert teacher.record.kind == "teacher" and teacher.record.metrics["speedup"] == 1
    assert [record.kind for record in teacher.references] == ["teacher", "baseline", "linear"]
    assert teacher.record.config["teacher"]["trainer"]["max_epochs"] == 2
    assert teacher.record.config["model"]["_target_"] == "millis.models.scratch.Scratch"
    assert millis.load(teacher.record.artifact).predict("my money back").label in INTENTS


def test_a_recipe_of_objects_is_carried_out_once(teacher):
    asked = {"student": TransformerStudent(layers=1), "quantization": Quantization(), "trainer": Fit(1)}
    record = millis.compress(teacher, **asked)
    assert record.name == "transformer 1x32 f64 int8"
    assert record.config["quantization"]["weights"] == 8
    assert record.config["pruning"]["_target_"].endswith(".none")
    assert millis.compress(teacher, **asked).id == record.id
    assert millis.load(record.artifact).predict("where is my parcel").label in INTENTS


def test_a_student_brings_the_optimizer_and_trainer_that_the_commands_give_it(teacher):
    run = teacher._run({"student": StaticStudent(size=0.5)})
    assert run.recipe.trainer.max_epochs == Length(steps=1500, least=12, most=40)
    assert run.recipe.optimizer.lr != teacher._run({}).recipe.optimizer.lr
    assert teacher._run({"student": StaticStudent(), "trainer": Fit(1)}).recipe.trainer == Fit(1)
    assert teacher._run({"distillation": Distillation(alpha=0.3)}).recipe.distillation.alpha == 0.3


def test_what_is_over_the_budget_is_not_trained(teacher):
    outcome = millis.compress(teacher, student=TransformerStudent(layers=1), budget={"latency_p50_ms": 1e-6})
    assert isinstance(outcome, Skipped) and outcome.excess["latency_p50_ms"] > 0


def test_recipes_are_compared_side_by_side(teacher):
    recipes = [{"student": StaticStudent(size=size), "trainer": Fit(2)} for size in (0.25, 0.5)]
    outcome = millis.search(teacher, recipes, budget={"latency_p50_ms": 1000})
    assert {record.name for record in outcome.records} >= {"teacher", "static 8 fp32", "static 16 fp32"}
    assert outcome.choice.kept
    assert (outcome.folder / "frontier.html").is_file()
    again = millis.search(teacher, recipes, budget={"latency_p50_ms": 1000})
    assert again.folder == outcome.folder
    assert [record.id for record in again.records] == [record.id for record in outcome.records]


def test_artifacts_are_measured_on_data_in_memory(teacher, monkeypatch, tmp_path):
    monkeypatch.setenv("MILLIS_OUTPUTS", str(tmp_path))
    student = millis.compress(teacher, student=StaticStudent(size=0.5), trainer=Fit(2))
    measured = millis.measure([teacher.record.artifact, student.artifact], DATA, options=BRIEF)
    assert [record.name for record in measured] == ["teacher", "static 16 fp32"]
    assert measured[1].metrics["accuracy"] == student.metrics["accuracy"]


@pytest.fixture
def held(tmp_path):
    """A finished classifier in memory, its labels in another order than the data's, and its tokenizer."""
    torch.manual_seed(0)
    names = ["track", "cancel", "refund"]
    shape = {"hidden_size": 32, "num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 64}
    model = BertForSequenceClassification(BertConfig(vocab_size=120, id2label=dict(enumerate(names)), **shape)).eval()
    tokenizer = wordpiece.train(list(INTENTS.values()), 120, lowercase=True)
    return model, PreTrainedTokenizerFast(tokenizer_object=tokenizer, pad_token="[PAD]")


class Wrapped(nn.Module):
    """As a LightningModule holds its model."""

    def __init__(self, *models):
        super().__init__()
        for index, model in enumerate(models):
            setattr(self, f"model{index}", model)

    def forward(self, **inputs):
        return self.model0(**inputs)


@pytest.mark.parametrize("wrap", [lambda model: model, Wrapped], ids=["itself", "wrapped"])
def test_a_finished_model_in_memory_is_the_teacher_as_it_is(held, wrap, tmp_path):
    model, tokenizer = held
    taken = millis.train(DATA, model=wrap(model), tokenizer=tokenizer, trainer=Fit(0), outputs=tmp_path)
    assert taken.teacher.fitted.epochs == 0
    split = taken.teacher.inputs.dataset.validation
    with torch.inference_mode():
        given = [tokenizer(text, return_tensors="pt")["input_ids"] for text in split.texts]
        expected = torch.cat([model(ids).logits[:, [1, 2, 0]] for ids in given]).numpy()
    assert np.abs(taken.teacher.logits(split).logits[0] - expected).max() < 1e-5


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"model": nn.Linear(2, 2)}, "model is Linear, in memory, without its tokenizer: give tokenizer=..., such as"),
        (
            {"model": nn.Linear(2, 2), "tokenizer": 1},
            "model is Linear and holds 0 models of transformers: expected",
        ),
        ({"trainer": Fit(0), "search": object()}, "teacher=searched fine-tunes, and teacher.trainer.max_epochs=0 does"),
    ],
)
def test_what_cannot_be_trained_is_refused(arguments, message, tmp_path):
    with pytest.raises(MillisError, match=message):
        millis.train(DATA, outputs=tmp_path, **arguments)


def test_a_module_of_two_models_is_refused(held, tmp_path):
    model, tokenizer = held
    with pytest.raises(MillisError, match="model is Wrapped and holds 2 models of transformers: expected one, or a"):
        millis.train(DATA, model=Wrapped(model, BertForSequenceClassification(model.config)), tokenizer=tokenizer)
    with pytest.raises(MillisError, match=r"tokenizer is Tokenizer: expected the model's, such as AutoTokenizer"):
        millis.train(DATA, model=model, tokenizer=tokenizer.backend_tokenizer, outputs=tmp_path)


@pytest.mark.parametrize(
    ("methods", "message"),
    [
        ({"students": StaticStudent()}, "a recipe has no 'students' (did you mean 'student'?): expected student, dis"),
        (
            {"adapter": Lora(["query"]), "pruning": None, "quantization": None, "trainer": Fit(0)},
            "trainer.max_epochs=0",
        ),
        ({"student": StaticStudent(), "pruning": ToLatency(2.0), "backend": Eager(), "ensemble": [0]}, "ensemble="),
    ],
)
def test_a_recipe_that_cannot_be_is_refused(teacher, methods, message):
    with pytest.raises(MillisError) as caught:
        millis.compress(teacher, **methods)
    assert str(caught.value).startswith(message)


def test_an_empty_search_and_no_artifacts_are_refused(teacher):
    with pytest.raises(MillisError, match="a search needs recipes: expected at least one"):
        millis.search(teacher, [])
    with pytest.raises(MillisError, match=r"got no artifacts to measure: expected folders, such as \[record.artifact"):
        millis.measure([], DATA)


def test_an_artifact_of_another_task_is_named(teacher):
    numbers = {split: (texts, list(range(len(texts)))) for split, (texts, _) in DATA.items()}
    with pytest.raises(MillisError, match=r"artifact 'teacher' answers 3 labels .*, the data has a number"):
        millis.measure([teacher.record.artifact], numbers, task=Regression(), options=BRIEF)


def test_a_folder_is_data_too(tmp_path):
    with pytest.raises(MillisError, match=f"data.path={tmp_path / 'none'} is not a folder"):
        millis.train(str(tmp_path / "none"), outputs=tmp_path)


def test_a_pick_goes_by_the_usual_runtime_and_int8_unless_told(monkeypatch, tmp_path):
    asked = []
    monkeypatch.setattr(functions, "bundled_run", lambda *given, **options: asked.append((given, options)) or "a run")
    monkeypatch.setattr(functions.picking, "pick", lambda *given: given)
    found = millis.pick(tmp_path / "weights", {"latency_p99_ms": 2}, data=DATA, sizes={"layers": 1}, outputs=tmp_path)
    assert found == ("a run", {"layers": 1}, 3)
    [((folder, place, data), options)] = asked
    assert (folder, place.outputs) == (tmp_path / "weights", tmp_path)
    assert data.splits == DATA
    assert options["backend"].name == "default" and options["quantization"] == Quantization()
    assert options["budget"] == {"latency_p99_ms": 2} and options["benchmark"] == Options()
    millis.pick("weights", {"latency_p99_ms": 2}, quantization=None, backend=Eager(), benchmark=BRIEF)
    (_, _, data), options = asked[1]
    assert (data, options["quantization"], options["backend"]) == (None, None, Eager())
