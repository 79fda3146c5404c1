"""The choice against trying everything."""

from itertools import product

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from millis.errors import MillisError
from millis.pruning.choice import BINS, kept_within
from millis.pruning.latency import LatencyTable


def loss_of(importance, kept):
    return sum(
        float(values.sum() - values[indices].sum())
        for values, indices in zip(importance, [*kept[0], *kept[1]], strict=True)
    )


def best_of_all(table, heads, ffn, target_ms):
    """Least importance removed by any choice within the target, each sublayer keeping its most important units."""
    least = np.inf
    sizes = [[s for s in table.heads if s < len(v)] + [len(v)] for v in heads]
    sizes += [[s for s in table.ffn if s < len(v)] + [len(v)] for v in ffn]
    for counts in product(*sizes):
        if table.latency_ms(counts[: len(heads)], counts[len(heads) :]) <= target_ms:
            lost = (v.sort(descending=True).values[k:].sum() for v, k in zip([*heads, *ffn], counts, strict=True))
            least = min(least, float(sum(lost)))
    return least


@st.composite
def cases(draw):
    """(table, heads [L][H], neurons [L][F], target): up to 3 layers of up to 3 heads and 4 neurons."""
    scores = st.floats(0, 5, width=32)
    layers = draw(st.integers(1, 3))
    heads = [torch.tensor(draw(st.lists(scores, min_size=0, max_size=3)), dtype=torch.double) for _ in range(layers)]
    ffn = [torch.tensor(draw(st.lists(scores, min_size=0, max_size=4)), dtype=torch.double) for _ in range(layers)]
    rise = st.floats(0, 3)
    a, b = np.cumsum([0.0, *draw(st.tuples(rise, rise))]), np.cumsum([0.0, *draw(st.tuples(rise, rise))])
    table = LatencyTable((0, 1, 3), tuple(a.tolist()), (0, 2, 4), tuple(b.tolist()), draw(st.floats(0, 2)))
    dense = table.latency_ms([len(h) for h in heads], [len(f) for f in ffn])
    return table, heads, ffn, table.base_ms + draw(st.floats(0, 1.1)) * (dense - table.base_ms)


@given(cases())
def test_nothing_within_the_target_loses_less(case):
    """Up to the rounding that is stated: what stays 2 L / BINS of the room below the target loses no less."""
    table, heads, ffn, target = case
    kept = kept_within(table, heads, ffn, target)
    assert table.latency_ms([len(h) for h in kept.heads], [len(f) for f in kept.ffn]) <= target + 1e-9
    slack = 2 * len(heads) / BINS * (target - table.base_ms)
    lost = loss_of([*heads, *ffn], kept)
    assert lost <= best_of_all(table, heads, ffn, target - slack) + 1e-9
    assert lost >= best_of_all(table, heads, ffn, target + 1e-9) - 1e-9


def test_by_hand():
    """Two layers, 1 ms a head, 2 ms a pair of neurons, base 1 ms, so 13 ms unpruned; 7 ms allow 6 ms of units.

    Worth: heads 5, 1 | 4, 3; pairs of neurons 9 + 1, 0.5 + 0.5 | 2 + 2, 1 + 1. In 5 ms go heads 5, 4, 3 and pair 10.
    The 6th takes head 1, for a pair needs two; the 7th makes room for pair 4 in its place.
    """
    table = LatencyTable((0, 1, 2), (0, 1, 2), (0, 2, 4), (0, 2, 4), 1.0)
    heads = [torch.tensor([1.0, 5.0]), torch.tensor([3.0, 4.0])]
    ffn = [torch.tensor([0.5, 9.0, 1.0, 0.5]), torch.tensor([1.0, 2.0, 2.0, 1.0])]
    kept = kept_within(table, heads, ffn, 7.01)
    assert [h.tolist() for h in kept.heads] == [[0, 1], [0, 1]]
    assert [f.tolist() for f in kept.ffn] == [[1, 2], []]
    kept = kept_within(table, heads, ffn, 8.01)
    assert [h.tolist() for h in kept.heads] == [[1], [0, 1]]
    assert [f.tolist() for f in kept.ffn] == [[1, 2], [1, 2]]


def test_steps_in_latency_are_used():
    """2 heads cost no more than 1: a choice by a line through the table would not see it."""
    table = LatencyTable((0, 1, 2, 3), (0, 1, 1, 3), (0, 1), (0, 1), 0.0)
    kept = kept_within(table, [torch.tensor([1.0, 3.0, 2.0])], [torch.tensor([0.1])], 1.0)
    assert [h.tolist() for h in kept.heads] == [[1, 2]]
    assert [f.tolist() for f in kept.ffn] == [[]]


def test_everything_stays_where_the_target_is_met_already():
    table = LatencyTable((0, 2), (0, 1), (0, 2), (0, 1), 1.0)
    kept = kept_within(table, [torch.ones(2)], [torch.ones(2)], 3.0)
    assert [len(part) for part in (*kept.heads, *kept.ffn)] == [2, 2]


def test_equally_important_units_go_last_first():
    table = LatencyTable((0, 2, 4), (0, 2, 4), (0, 1), (0, 0), 0.0)
    kept = kept_within(table, [torch.ones(4)], [torch.ones(1)], 2.0)
    assert kept.heads[0].tolist() == [0, 1]


def test_twelve_layers_keep_what_is_most_valuable_in_all():
    """Reference: with one cost for all units, as many of the most valuable as fit; 144 ms of room, and rounding."""
    generator = torch.Generator().manual_seed(0)
    heads = [torch.rand(12, generator=generator).double() for _ in range(12)]
    ffn = [torch.rand(12, generator=generator).double() for _ in range(12)]
    grid = tuple(range(13))
    table = LatencyTable(grid, tuple(map(float, grid)), grid, tuple(map(float, grid)), 7.0)
    kept = kept_within(table, heads, ffn, 7.0 + 144 * (1 + 24 / BINS))
    values = torch.cat([*heads, *ffn]).sort(descending=True).values
    assert loss_of([*heads, *ffn], kept) == pytest.approx(float(values[144:].sum()), rel=1e-9)


def test_a_target_out_of_reach_names_the_fastest():
    table = LatencyTable((0, 2), (0, 3), (0, 2), (0, 2), 1.0)
    with pytest.raises(MillisError) as error:
        kept_within(table, [torch.ones(2)] * 2, [torch.ones(2)] * 2, 0.9)
    assert str(error.value) == (
        "pruning heads and neurons cannot reach 0.9 ms: with the fewest of both a request takes 1 ms, 11.00 times as "
        "fast as the 11 ms of the unpruned model. Ask for a smaller pruning.target_speedup, or prune a student of "
        "fewer layers"
    )
    kept = kept_within(table, [torch.ones(2)] * 2, [torch.ones(2)] * 2, 1.0)
    assert [len(part) for part in (*kept.heads, *kept.ffn)] == [0, 0, 0, 0]


@pytest.mark.parametrize("value", [float("nan"), float("inf"), -1.0])
def test_importance_that_cannot_be(value):
    table = LatencyTable((0, 2), (0, 3), (0, 2), (0, 2), 1.0)
    with pytest.raises(MillisError, match="the importance of a unit is negative or not finite; expected squared grad"):
        kept_within(table, [torch.ones(2)], [torch.tensor([1.0, value])], 5.0)
