"""The door between configs and the objects of the pipeline: what comes through it, and what is refused there."""

from dataclasses import fields
from pathlib import Path

import pytest
from hydra.errors import InstantiationException
from recipes import TEACHER

from millis.backends.eager import Eager
from millis.cli import recipes
from millis.cli.hydra_app import composed
from millis.cli.recipes import fine_tuning_of, place_of, recipe_of, run_of, study_of
from millis.errors import MillisError
from millis.models.student import TransformerStudent
from millis.pipeline.recipe import Recipe
from millis.pipeline.study import Study


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        (["pruning=heads", "adapter=lora"], "adapter and pruning in one training contradict each other"),
        (["pruning=heads", "pruning.sparsity=1"], "pruning.sparsity=1"),
        (["trainer.max_epochs=0"], "trainer.max_epochs=0: expected at least 1"),
        (["task=tagging", "student=static"], "student=static answers a text as a whole"),
        (["ensemble=[0]"], r"ensemble=\[0\] beside teacher.seed=0 hears the teacher of seed 0 twice"),
        (["teacher.objective.alpha=0.5"], r"teacher.objective.alpha=0.5: a teacher has no teacher, expected 0"),
        (["teacher=searched", "teacher.trainer.max_epochs=0"], "teacher=searched fine-tunes, and"),
        (["benchmark.where=http://phone:1", "backend=inductor"], "an agent runs no code"),
        (["budget.probability=0.2"], r"budget.probability=0.2: expected"),
        (
            ["task=translation", "model=scratch_seq2seq", "student=transformer"],
            "family transformer, and the teacher is of the family encoder_decoder: choose student=encoder_decoder, or",
        ),
        (
            ["task=translation", "model=scratch_seq2seq", "task.max_length=64", "generation.max_tokens=64"],
            "generation.max_tokens=64 with task.max_length=64 leaves no token for the text that is answered",
        ),
        (["task=translation", "model=scratch_decoder", "student=encoder_decoder"], "choose student=transformer, or"),
    ],
)
def test_what_cannot_be_costs_no_teacher(overrides, message, monkeypatch):
    monkeypatch.setattr(recipes, "ensure_teacher", lambda *_: pytest.fail("a teacher was asked for"))
    with pytest.raises((MillisError, InstantiationException), match=message):  # the command line unwraps the second
        run_of(composed("compress", overrides))


def test_every_part_of_a_recipe_comes_from_its_group():
    assert {field.name for field in fields(Recipe)} <= set(composed("compress", []))
    found = recipe_of(composed("compress", ["student.layers=3", "backend=eager", "ensemble=[1,2]", "seed=5"]))
    assert (found.student, found.backend) == (TransformerStudent(layers=3), Eager())
    assert (found.ensemble, found.blend, found.seed, found.pruning) == ((1, 2), True, 5, None)


def test_a_teacher_has_the_seed_of_its_students_unless_it_has_its_own():
    apart = [(), ("seed=7",), ("seed=7", "teacher.seed=0")]
    assert [fine_tuning_of(composed("compress", list(overrides))).seed for overrides in apart] == [0, 7, 0]


def test_a_given_teacher_is_taken():
    run = run_of(composed("compress", ["budget.latency_p50_ms=2", "benchmark.rounds=60"]), TEACHER)
    assert run.teacher is TEACHER
    assert run.benchmark.rounds == 60 and run.budget["latency_p50_ms"] == 2 and run.budget["size_bytes"] is None
    assert run.objectives == ()
    assert run_of(composed("sweep", []), TEACHER).objectives == ("quality", "latency_p50_ms")


def test_a_record_says_what_the_config_says(tmp_path):
    cfg = composed("compress", [f"paths.outputs={tmp_path}", "pruning=heads", "quantization=qat", "teacher=searched"])
    said, config = run_of(cfg, TEACHER).described, recipes.plain(cfg)
    assert said["paths"]["outputs"] == str(tmp_path) and set(said) == set(config)
    for group in ("pruning", "quantization", "student", "benchmark"):
        assert said[group] == unprocessed(config[group]), group
    assert said["teacher"]["search"] == config["teacher"]["search"]


def unprocessed(node):
    """A node without what is Hydra's alone."""
    if isinstance(node, dict):
        return {key: unprocessed(value) for key, value in node.items() if key != "_convert_"}
    return node


def test_a_place_is_where_the_config_says(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    place = place_of(composed("compress", ["paths.outputs=here", "logger=none"]))
    assert (place.outputs, place.cache) == (tmp_path / "here", tmp_path / "here" / "cache")
    assert not place.tracker.in_wandb
    assert place_of(composed("compress", [])).tracker.in_wandb
    assert Path(place.said["paths"]["outputs"]) == Path("here")


def test_a_search_is_what_the_config_says():
    given = ("name=mine", "n_trials=7", "timeout_s=60", "minimum=2", "enqueue=[{student: a}]")
    aims = {"quality": "maximize", "latency_p50_ms": "minimize"}
    found = study_of(composed("sweep", [f"study.{key}" for key in given]))
    assert found == Study("mine", aims, 7, 2, 60, [{"student": "a"}])
