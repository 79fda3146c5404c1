"""What is foretold is what is made; and a stated speed-up is found by measuring."""

from types import SimpleNamespace

import pytest
import torch
from specs import static

from millis import models
from millis.errors import MillisError
from millis.pipeline import initial_student as initial
from millis.pipeline.initial_student import initial_student


@pytest.mark.parametrize("factorization", ["svd", "fwsvd", "vocabulary", "embedding", "smallest"])
def test_the_foretold_architecture_is_the_one_that_is_made(asked, factorization):
    overrides = [f"factorization={factorization}"]
    overrides += ["factorization.rank.rank=8"] if factorization == "embedding" else []
    run = asked(*overrides)
    spec, tokenizer = initial.shape(run)
    model, own = initial_student(run)
    assert model.spec == spec
    assert own.to_str() == tokenizer.to_str()


def test_a_student_that_keeps_the_vocabulary_shares_the_teachers_tokenizer(asked, teacher):
    assert initial_student(asked("factorization=svd"))[1] is teacher.tokenizer


def test_a_student_without_heads_cannot_be_pruned_to_a_latency():
    message = "pruning=to_latency removes heads and neurons, and a static student of this architecture has none"
    with pytest.raises(MillisError, match=message):
        initial.prune_to_latency(None, None, SimpleNamespace(spec=static()))


@pytest.fixture
def clock(monkeypatch):
    """Latency by a formula that no table's sum gives: 1 ms, 0.1 a head, and neurons cost more the more there are."""
    timed = []

    def latency_of(run, planned, model=None):
        heads, ffn = planned.spec.shape.heads, planned.spec.shape.ffn
        ms = 1 + sum(0.1 * count for count in heads) + sum(0.02 * count + 3e-4 * count**2 for count in ffn)
        timed.append((tuple(heads), tuple(ffn)))
        return SimpleNamespace(metrics={"latency_p50_ms": ms, "speedup": 20 / ms})

    monkeypatch.setattr(initial, "latency_of", latency_of)
    return latency_of, timed


@pytest.mark.parametrize("target", [1.3, 2.0, 3.0])
def test_the_measured_speedup_is_the_one_asked_for(asked, teacher, clock, target):
    run = asked("pruning=to_latency", f"pruning.target_speedup={target}", "pruning.tolerance=0.03", "pruning.steps=4")
    small = initial.prune_to_latency(run, run.recipe.to_latency, teacher.module)
    latency_of, _ = clock
    speedups = [latency_of(run, initial._probe(teacher, m.spec)).metrics["speedup"] for m in (small, teacher.module)]
    assert speedups[0] / speedups[1] == pytest.approx(target, rel=0.1)


def test_a_machine_that_slows_down_after_the_first_measurement_is_no_target_out_of_reach(
    asked, teacher, clock, monkeypatch
):
    latency_of, timed = clock

    def slower_later(run, planned, model=None):
        metrics = latency_of(run, planned).metrics
        factor = 3 if len(timed) == 1 else 1
        return SimpleNamespace(
            metrics={"latency_p50_ms": metrics["latency_p50_ms"] / factor, "speedup": metrics["speedup"] * factor}
        )

    monkeypatch.setattr(initial, "latency_of", slower_later)
    run = asked("pruning=to_latency", "pruning.target_speedup=1.5", "pruning.steps=4", "pruning.refine=0")
    small = initial.prune_to_latency(run, run.recipe.to_latency, teacher.module)
    before, after = (latency_of(run, initial._probe(teacher, model.spec)) for model in (teacher.module, small))
    assert after.metrics["speedup"] / before.metrics["speedup"] == pytest.approx(1.5, rel=0.1)


def test_the_table_is_of_models_whose_layers_are_alike(asked, teacher, clock):
    run = asked("pruning=to_latency")
    latency_of, timed = clock
    dense = latency_of(run, initial._probe(teacher, teacher.manifest.spec))
    table = initial.latency_table(run, teacher.manifest.spec, dense, steps=2)
    assert all(len(set(heads)) == len(set(ffn)) == 1 for heads, ffn in timed)
    assert table.latency_ms([2, 2], [64, 64]) == pytest.approx(dense.metrics["latency_p50_ms"], rel=0.05)


def test_a_rank_is_found_by_timing_models_of_that_rank(asked, teacher, monkeypatch):
    """A model takes 1 ms, and another for every 10,000 weights."""
    timed = []

    def latency_of(run, planned, model=None):
        assert run.recipe.storage is None, "storing takes seconds, and no request notices"
        timed.append(planned.spec.ranks)
        return SimpleNamespace(metrics={"speedup": 20 / milliseconds(planned.spec)})

    def milliseconds(spec):
        with torch.device("meta"):
            return 1 + sum(weight.numel() for weight in models.build(spec).parameters()) / 1e4

    monkeypatch.setattr(initial, "latency_of", latency_of)
    run = asked("factorization=svd_latency", "factorization.rank.target_speedup=1.2", "storage=archive")
    spec = run.recipe.student.spec(teacher.manifest.spec)
    found = initial.factorization(run, spec)
    assert len(timed) == 6  # the whole model, the smallest, four halvings of 16
    chosen, _ = found.spec(spec, teacher.tokenizer, [])
    assert chosen.ranks in timed
    assert milliseconds(spec) / milliseconds(chosen) >= 1.2
