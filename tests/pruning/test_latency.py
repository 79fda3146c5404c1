"""The latency table against tables it was made from, multiply-accumulates against torch's own counter."""

import json
import runpy
from dataclasses import asdict, replace
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from sklearn.isotonic import IsotonicRegression
from specs import changed
from torch.utils.flop_counter import FlopCounterMode

from millis import models
from millis.errors import MillisError
from millis.models.spec import Shape
from millis.pruning.latency import LatencyTable, ffn_grid, head_grid, probe_specs, rising

SPEC = runpy.run_path(str(Path(__file__).parents[1] / "models" / "conftest.py"))["make_spec"]()  # 4 layers, 4 x 8, 64
HEADS, FFN = [0, 1, 2, 4], [0, 32, 64]


def timed(table, spec, heads=HEADS, ffn=FFN):
    """What the probes would take if the table were right."""
    probes = probe_specs(spec, heads, ffn)
    return {name: table.latency_ms(p.shape.heads, p.shape.ffn) for name, p in probes.items()}


def test_probes_are_models_whose_layers_are_alike():
    probes = probe_specs(SPEC, HEADS, FFN)
    assert list(probes) == [
        "4 heads, 64 neurons", "2 heads, 64 neurons", "1 heads, 64 neurons", "0 heads, 64 neurons",
        "4 heads, 32 neurons", "4 heads, 0 neurons", "0 heads, 0 neurons",
    ]  # fmt: skip
    assert probes["4 heads, 64 neurons"] == SPEC
    assert probes["1 heads, 64 neurons"].shape == Shape(8, (1,) * 4, (64,) * 4)
    for spec in probes.values():
        assert models.build(spec).eval()(torch.tensor([[4, 5]]), torch.ones(1, 2)).shape == (1, 3)


def test_grids_are_even_steps_down_to_nothing():
    spec = replace(SPEC, shape=Shape(32, (12,) * 6, (1536,) * 6))
    assert head_grid(spec) == list(range(13))
    assert ffn_grid(spec) == list(range(0, 1537, 128))
    assert head_grid(replace(SPEC, shape=Shape(32, (2, 3), (8, 8)))) == [0, 1, 2, 3]
    assert head_grid(replace(SPEC, shape=Shape(32, (16,), (8,)))) == [0, 1, 3, 4, 5, 7, 8, 9, 11, 12, 13, 15, 16]


def test_a_table_by_hand():
    """4 layers; a request with nothing left takes 2 ms; a layer's heads 0, 1, 1, 3 ms; its neurons 0, 0.5, 2 ms."""
    table = LatencyTable.from_probes(
        SPEC,
        {
            "4 heads, 64 neurons": 2 + 4 * (3 + 2), "2 heads, 64 neurons": 2 + 4 * (1 + 2),
            "1 heads, 64 neurons": 2 + 4 * (1 + 2), "0 heads, 64 neurons": 2 + 4 * 2,
            "4 heads, 32 neurons": 2 + 4 * 3.5, "4 heads, 0 neurons": 2 + 4 * 3, "0 heads, 0 neurons": 2.0,
        },
    )  # fmt: skip
    assert (table.heads, table.ffn) == ((0, 1, 2, 4), (0, 32, 64))
    assert table.heads_ms == pytest.approx((0, 1, 1, 3))
    assert table.ffn_ms == pytest.approx((0, 0.5, 2))
    assert table.base_ms == pytest.approx(2)
    assert table.of_heads(3) == pytest.approx(2)  # half-way between 2 heads and 4
    assert table.of_ffn(48) == pytest.approx(1.25)
    assert table.latency_ms([4, 0, 0, 3], [64, 0, 32, 0]) == pytest.approx(2 + 3 + 2 + 2 + 0.5)


@st.composite
def tables(draw):
    milliseconds = st.floats(0, 10)
    a, b = (
        np.cumsum([0.0, *draw(st.lists(milliseconds, min_size=n - 1, max_size=n - 1))]) for n in (len(HEADS), len(FFN))
    )
    return LatencyTable(tuple(HEADS), tuple(a.tolist()), tuple(FFN), tuple(b.tolist()), draw(st.floats(0.1, 10)))


@given(table=tables())
def test_the_table_behind_exact_probes_is_found(table):
    found = LatencyTable.from_probes(SPEC, timed(table, SPEC))
    assert found.heads_ms == pytest.approx(table.heads_ms, abs=1e-8)
    assert found.ffn_ms == pytest.approx(table.ffn_ms, abs=1e-8)
    assert found.base_ms == pytest.approx(table.base_ms, abs=1e-8)


@given(table=tables(), noise=st.lists(st.floats(-0.2, 0.2), min_size=7, max_size=7))
def test_noisy_probes_make_a_table_that_rises_and_errs_like_the_noise(table, noise):
    probes = {name: ms * (1 + n) for (name, ms), n in zip(timed(table, SPEC).items(), noise, strict=True)}
    found = LatencyTable.from_probes(SPEC, probes)  # raises where latencies fall
    assert found.heads_ms[0] == found.ffn_ms[0] == 0
    worst = max(abs(probes[name] - ms) for name, ms in timed(table, SPEC).items())
    assert abs(found.latency_ms([4] * 4, [64] * 4) - table.latency_ms([4] * 4, [64] * 4)) <= 4 * worst + 1e-6


def test_where_the_sum_does_not_hold_the_error_is_shared():
    """One layer, 1 head, 1 neuron, with 4 ms more than the sum when both are there: each probe is missed by 1 ms."""
    spec = replace(SPEC, shape=Shape(8, (1,), (1,)))
    probes = {
        "1 heads, 1 neurons": 10.0, "0 heads, 1 neurons": 4.0, "1 heads, 0 neurons": 4.0, "0 heads, 0 neurons": 2.0,
    }  # fmt: skip
    table = LatencyTable.from_probes(spec, probes)
    got = [table.latency_ms([h], [f]) for h, f in ((1, 1), (0, 1), (1, 0), (0, 0))]
    assert got == pytest.approx([9.0, 5.0, 5.0, 1.0])


@given(st.lists(st.floats(-5, 5), min_size=1, max_size=12))
def test_rising_is_isotonic_regression(values):
    expected = IsotonicRegression().fit_transform(np.arange(len(values)), values)
    np.testing.assert_allclose(rising(np.array(values)), expected, atol=1e-12)


def test_macs_by_hand():
    """S = 10, D = 32, d = 8: a head 4 · 10 · 32 · 8 + 2 · 100 · 8 = 11,840; a neuron 2 · 10 · 32 = 640; classifier 96.

    Four layers of 4 heads and 64 neurons: 353,376, which are given 353.376 ms.
    """
    table = LatencyTable.macs(SPEC, HEADS, FFN, tokens=10, dense_ms=353.376)
    assert table.heads_ms == pytest.approx((0, 11.84, 23.68, 47.36))
    assert table.ffn_ms == pytest.approx((0, 20.48, 40.96))
    assert table.base_ms == pytest.approx(0.096)


@pytest.mark.parametrize("heads", [[4, 4, 4, 4], [4, 0, 1, 2]])
def test_macs_are_those_that_torch_counts(heads):
    shape = {"head_size": 8, "heads": heads, "ffn": [64, 32, 0, 64]}
    model = models.build(changed(SPEC, shape=shape)).eval()
    model.encoder.set_attn_implementation("eager")  # the counter sees products, not what fused attention does
    with FlopCounterMode(display=False) as counter:
        model(torch.full((1, 10), 5), torch.ones(1, 10, dtype=torch.long))
    table = LatencyTable.macs(SPEC, HEADS, FFN, tokens=10, dense_ms=353.376)
    assert counter.get_total_flops() == pytest.approx(2000 * table.latency_ms(heads, shape["ffn"]))


def test_a_table_survives_json():
    table = LatencyTable.macs(SPEC, HEADS, FFN, 10, 5.0)
    assert LatencyTable(**json.loads(json.dumps(asdict(table)))) == table


@pytest.mark.parametrize(
    ("probes", "message"),
    [
        ({"12 heads": 1.0}, "no latency probe is called '12 heads'; expected a name like '12 heads, 1536 neurons'"),
        (
            {"4 heads, 64 neurons": 3.0, "2 heads, 64 neurons": 0.0},
            "probes took [3.0, 0.0] ms; expected positive numbers. Measure them again",
        ),
        (
            {"4 heads, 64 neurons": 3.0, "2 heads, 32 neurons": 2.0},
            "2 probes cannot tell the latency of 2 numbers of heads from that of 2 of neurons: time all models of "
            "probe_specs",
        ),
        (
            {},
            "0 probes cannot tell the latency of 0 numbers of heads from that of 0 of neurons: time all models of "
            "probe_specs",
        ),
    ],
)
def test_probes_that_make_no_table(probes, message):
    with pytest.raises(MillisError) as error:
        LatencyTable.from_probes(SPEC, probes)
    assert str(error.value) == message


@pytest.mark.parametrize(
    ("heads", "ffn", "message"),
    [
        (
            [0, 2],
            FFN,
            "over [0, 2] heads: expected distinct sizes from 0 up to the model's 4, which has to be among them",
        ),
        (HEADS, [0, 64, 64], "over [0, 64, 64] neurons: expected distinct sizes from 0 up to the model's 64"),
        (HEADS, [], "over [] neurons: expected distinct sizes"),
        ([-1, 4], FFN, "over [-1, 4] heads: expected distinct sizes"),
    ],
)
def test_grids_that_cannot_be(heads, ffn, message):
    with pytest.raises(MillisError) as error:
        probe_specs(SPEC, heads, ffn)
    assert message in str(error.value)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"heads_ms": (0.0, 2.0, 1.0)}, "a latency table has heads=[0, 1, 2] at [0.0, 2.0, 1.0] ms; expected as many"),
        ({"heads_ms": (0.0, 2.0)}, "a latency table has heads=[0, 1, 2] at [0.0, 2.0] ms; expected as many"),
        ({"ffn": (8, 4)}, "a latency table has ffn=[8, 4] at [0.0, 1.0] ms; expected as many"),
        ({"ffn_ms": (0.0, float("inf"))}, "a latency table has ffn=[0, 8] at [0.0, inf] ms; expected as many finite"),
        ({"base_ms": -1.0}, "a latency table has base_ms=-1.0; expected 0 or more. Measure the table again"),
    ],
)
def test_tables_that_cannot_be(changes, message):
    good = {"heads": (0, 1, 2), "heads_ms": (0.0, 1.0, 2.0), "ffn": (0, 8), "ffn_ms": (0.0, 1.0), "base_ms": 1.0}
    LatencyTable(**good)
    with pytest.raises(MillisError) as error:
        LatencyTable(**{**good, **changes})
    assert str(error.value).startswith(message)
