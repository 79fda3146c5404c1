"""What a run says of itself, and how it is measured again."""

from pathlib import Path

import pytest
from recipes import recipe, run, tuning

from millis.benchmark.latency import Options
from millis.models.student import Teacher
from millis.pipeline.place import Place
from millis.quantization.spec import Quantization


def test_it_says_all_that_repeats_it():
    place = Place(Path("outputs"), Path("cache"), said={"paths": {"outputs": "outputs"}, "task": "another", "seed": 1})
    said = run(
        recipe=recipe(student=Teacher(), seed=3), tuning=tuning(seed=5), place=place,
        benchmark=Options(rounds=60), budget={"latency_p50_ms": 2.0},
    ).described  # fmt: skip
    assert {name: said[name]["_target_"] for name in ("data", "task", "model", "student", "backend", "benchmark")} == {
        "data": "millis.data.bundled.Bundled",
        "task": "millis.tasks.classification.Classification",
        "model": "millis.models.load.Packaged",
        "student": "millis.models.student.Teacher",
        "backend": "millis.backends.onnxruntime.OnnxRuntime",
        "benchmark": "millis.benchmark.latency.Options",
    }
    assert set(said["teacher"]) == {"objective", "optimizer", "trainer", "pretraining", "adapter", "search", "seed"}
    assert (said["teacher"]["seed"], said["seed"], said["benchmark"]["rounds"]) == (5, 3, 60)
    assert said["budget"] == {"latency_p50_ms": 2.0} and said["paths"] == {"outputs": "outputs"}
    assert said["pruning"]["_target_"].endswith(".none") and said["optimizer"]["lr"] == 1e-3


def test_another_recipe_is_the_same_run_but_for_it():
    first, other = run(budget={"size_bytes": 1.0}), recipe(quantization=Quantization())
    second = first.with_recipe(other)
    assert second.recipe is other and second.with_recipe(first.recipe) == first


@pytest.mark.parametrize(
    ("asked", "quantile"),
    [
        ({}, None),
        ({"budget": {"latency_p50_ms": 2.0}}, None),
        ({"budget": {"latency_p99_ms": None}}, None),
        ({"budget": {"latency_p99_ms": 2.0}}, 0.99),
        ({"budget": {"latency_p50_ms": 2.0}, "benchmark": Options(quantile=0.9)}, 0.9),
        ({"budget": {"latency_p99_ms": 2.0}, "benchmark": Options(quantile=0.999)}, 0.999),
        ({"objectives": ("quality", "latency_p50_ms")}, None),
        ({"objectives": ("quality", "latency_p99_ms")}, 0.99),
    ],
)
def test_a_limit_or_an_objective_on_the_tail_asks_for_its_requests(asked, quantile):
    assert run(**asked).repeated(0).benchmark.quantile == quantile


def test_a_further_measurement_has_another_seed_and_is_otherwise_the_same():
    first = run(benchmark=Options(seed=7))
    assert first.repeated(0) == first
    assert first.repeated(2) == run(recipe=first.recipe, benchmark=Options(seed=9))


def test_a_place_under_a_folder_has_its_cache_there(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    place = Place.under("outputs")
    assert (place.outputs, place.cache) == (tmp_path / "outputs", tmp_path / "outputs" / "cache")
    with place.tracker.opened("name", "trial", {}) as kept:
        assert not kept.logger and kept.run is None
