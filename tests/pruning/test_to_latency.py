"""Pruning to a latency as the pipeline runs it, on a machine whose latency is known."""

import runpy
from pathlib import Path

import pytest
import torch
from causal import writer
from torch import nn

from millis import models
from millis.data.batches import model_inputs
from millis.errors import MillisError
from millis.models.selection import selected_spec
from millis.pruning.fisher_mask import GateGradients
from millis.pruning.latency import LatencyTable, ffn_grid, head_grid, probe_specs
from millis.pruning.shrink import shrink
from millis.pruning.to_latency import ToLatency

TINY = runpy.run_path(str(Path(__file__).parents[1] / "models" / "conftest.py"))


@pytest.fixture(scope="module")
def model():
    return TINY["make_model"](TINY["make_spec"]())


@pytest.fixture(scope="module")
def batches():
    generator = torch.Generator().manual_seed(0)
    return [
        {
            "input_ids": torch.randint(4, 100, (8, 7), generator=generator),
            "attention_mask": torch.ones(8, 7, dtype=torch.long),
            "rows": torch.arange(8),
            "target/logits": torch.randint(0, 3, (8,), generator=generator),
        }
        for _ in range(4)
    ]


def machine_ms(spec):
    """A machine on which layers speed each other up: no sum of sublayers explains it exactly."""
    shape = spec.shape
    work = sum(0.3 * heads + 0.02 * ffn for heads, ffn in zip(shape.heads, shape.ffn, strict=True))
    return 1.0 + work**0.9


def measured_table(spec):
    probes = probe_specs(spec, head_grid(spec), ffn_grid(spec))
    return LatencyTable.from_probes(spec, {name: machine_ms(probe) for name, probe in probes.items()})


@pytest.mark.parametrize("target", [1.3, 2.0, 3.0])
def test_measuring_and_correcting_reaches_the_speed_up(model, batches, target):
    pruning = ToLatency(target, tolerance=0.05)
    table, dense_ms = measured_table(model.spec), machine_ms(model.spec)
    importance = pruning.importance(model, batches)
    target_ms = pruning.first_target_ms(dense_ms)
    assert target_ms == pytest.approx(dense_ms / target)
    for _ in range(1 + pruning.refine):
        keep = pruning.choose(table, importance, target_ms)
        speedup = dense_ms / machine_ms(selected_spec(model.spec, keep))
        if pruning.reached(speedup):
            break
        target_ms = pruning.next_target_ms(target_ms, speedup)
    assert abs(speedup / target - 1) <= 0.05
    small = pruning.apply(model, keep, batches)
    assert small.spec == selected_spec(model.spec, keep)
    restored = models.build(small.spec).eval()
    restored.load_state_dict(small.state_dict())
    inputs = model_inputs(batches[0])
    assert torch.equal(restored(**inputs), small.eval()(**inputs))


def test_a_slower_outcome_asks_for_less_time():
    assert ToLatency(2.0).next_target_ms(5.0, 1.6) == pytest.approx(4.0)
    assert ToLatency(2.0).next_target_ms(5.0, 2.5) == pytest.approx(6.25)


def test_the_outcome_says_whether_it_is_near():
    pruning = ToLatency(2.0, tolerance=0.05)
    asked = "pruned to be 2 times as fast as the model before, and measured to be "
    assert pruning.outcome(2.04) == asked + "2.04 times"
    assert pruning.outcome(2.21) == asked + "2.21 times; of what was tried nothing comes nearer"


def test_near_enough_is_within_the_tolerance():
    pruning = ToLatency(2.0, tolerance=0.1)
    assert [pruning.reached(speedup) for speedup in (1.79, 1.81, 2.19, 2.21)] == [False, True, True, False]


def test_units_that_cancel_go_together_where_rearranging_is_on():
    """One layer: gradients 1, 1, -1.2, 3 of its neurons; two may stay."""
    importance = GateGradients([torch.ones(1, 1)], [torch.tensor([[1.0, 1.0, -1.2, 3.0]])], hidden_size=32)
    table = LatencyTable((0, 1), (0, 0), (0, 2, 4), (0, 1, 2), 0.0)
    assert ToLatency(2.0, rearrange=False).choose(table, importance, 1.0).ffn[0].tolist() == [2, 3]
    keep = ToLatency(2.0, rearrange=True).choose(table, importance, 1.0)
    assert keep.ffn[0].tolist() == [0, 3]
    assert (keep.layers, len(keep.hidden), keep.heads[0].tolist()) == ([0], 32, [0])


def test_without_rescaling_weights_are_copies(model, batches):
    pruning = ToLatency(2.0, rescale=False)
    keep = pruning.choose(measured_table(model.spec), pruning.importance(model, batches), 6.0)
    plain, applied = shrink(model, keep), pruning.apply(model, keep, [])
    assert all(torch.equal(a, b) for a, b in zip(plain.parameters(), applied.parameters(), strict=True))


def test_rescaling_brings_the_streams_nearer(model, batches):
    keep = ToLatency(2.0).choose(measured_table(model.spec), ToLatency(2.0).importance(model, batches), 6.0)

    def distance(small):
        inputs = [model_inputs(batch) for batch in batches]
        with torch.no_grad():
            return sum(float(nn.functional.mse_loss(small.pooled(**i), model.pooled(**i))) for i in inputs)

    plain, refitted = (ToLatency(2.0, rescale=rescale).apply(model, keep, batches) for rescale in (False, True))
    assert distance(refitted) < distance(plain)


def test_rows_are_drawn_once_each_and_the_same_for_a_seed():
    drawn = ToLatency(2.0, samples=50).rows(200, seed=1)
    assert len(set(drawn)) == len(drawn) == 50
    assert all(0 <= row < 200 for row in drawn)
    assert drawn == ToLatency(2.0, samples=50).rows(200, seed=1) != ToLatency(2.0, samples=50).rows(200, seed=2)
    assert ToLatency(2.0, samples=50).rows(30, seed=1) == list(range(30))


def test_a_speed_up_out_of_reach_says_what_is_within(model, batches):
    pruning = ToLatency(100.0)
    table, dense = measured_table(model.spec), machine_ms(model.spec)
    with pytest.raises(MillisError, match=r"cannot reach 0\.\d+ ms: .* \d+\.\d\d times as fast as .* unpruned model"):
        pruning.choose(table, pruning.importance(model, batches), pruning.first_target_ms(dense))


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        (
            {"target_speedup": 1.0},
            "pruning.target_speedup=1.0: expected above 1, such as 2 for half the latency; pruning=none keeps the "
            "model",
        ),
        ({"target_speedup": float("inf")}, "pruning.target_speedup=inf: expected above 1"),
        ({"target_speedup": float("nan")}, "pruning.target_speedup=nan: expected above 1"),
        ({"samples": 0}, "pruning.samples=0: expected at least 1 training text; some 2,000 are usual"),
        ({"refine": -1}, "pruning.refine=-1: expected 0 (trust the latency table) or more"),
        ({"tolerance": 0.0}, "pruning.tolerance=0.0: expected a share of the speed-up between 0 and 1"),
    ],
)
def test_settings_out_of_range(settings, message):
    with pytest.raises(MillisError) as error:
        ToLatency(**{"target_speedup": 2.0, **settings})
    assert str(error.value).startswith(message)


def test_gates_are_refused():
    with pytest.raises(MillisError, match=r"^pruning to a latency knows no gates and no root mean square norms, which"):
        ToLatency(2.0).importance(writer(), [])
