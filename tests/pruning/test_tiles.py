"""Tiles by hand: which weights are whose."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn
from torch.nn.utils import parametrize

from millis.pruning.tiles import Tiles


def linear(outputs=4, inputs=6):
    layer = nn.Linear(inputs, outputs)
    with torch.no_grad():
        layer.weight.copy_(torch.arange(outputs * inputs).reshape(outputs, inputs))
        layer.bias.copy_(torch.arange(outputs))
    return layer


@pytest.mark.parametrize(
    ("rows", "columns", "sums"),
    [
        # Rows are 0..5, 6..11, 12..17, 18..23.
        (1, 6, [[15], [51], [87], [123]]),
        (2, 6, [[66], [210]]),
        (4, 1, [[36, 40, 44, 48, 52, 56]]),
        (4, 2, [[76, 92, 108]]),
        (2, 3, [[24, 42], [96, 114]]),
        (4, 6, [[276]]),
    ],
)
def test_sums_over_tiles(rows, columns, sums):
    tiles = Tiles(linear(), "weight", rows, columns)
    assert tiles.sums(tiles.values).tolist() == sums
    assert tiles.size == rows * columns
    assert tiles.grid == (len(sums), len(sums[0]))


def test_a_vector_is_a_column():
    tiles = Tiles(linear(), "bias", 2, 1)
    assert tiles.values.shape == (4, 1)
    assert tiles.sums(tiles.values).tolist() == [[1], [5]]
    assert tiles.spread(torch.tensor([7.0, 9.0])).tolist() == [7, 7, 9, 9]


def test_an_axis_that_a_tile_spans_is_broadcast():
    units = torch.tensor([1.0, 2.0])
    assert Tiles(linear(), "weight", 2, 6).spread(units).tolist() == [[1], [1], [2], [2]]
    assert Tiles(linear(), "weight", 4, 3).spread(units).tolist() == [[1, 1, 1, 2, 2, 2]]
    assert Tiles(linear(), "weight", 4, 6).spread(torch.tensor([3.0])).tolist() == [[3]]


@given(down=st.integers(1, 4), across=st.integers(1, 4), rows=st.integers(1, 3), columns=st.integers(1, 3))
def test_what_is_spread_and_summed_comes_back_times_the_tiles_size(down, across, rows, columns):
    tiles = Tiles(linear(down * rows, across * columns), "weight", rows, columns)
    units = torch.arange(1.0, down * across + 1)
    spread = tiles.spread(units) * torch.ones_like(tiles.values)
    assert torch.equal(tiles.sums(spread).flatten(), units * tiles.size)


def test_behind_a_parametrization_the_trained_weight_is_seen():
    class Double(nn.Module):
        def forward(self, weight):
            return 2 * weight

    layer = linear()
    tiles = Tiles(layer, "weight", 1, 1)
    before = tiles.values.clone()
    parametrize.register_parametrization(layer, "weight", Double())
    assert torch.equal(tiles.values, before)
    assert torch.equal(layer.weight, 2 * before)
