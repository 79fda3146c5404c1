"""Ranges of a batch and over batches, worked by hand."""

from functools import partial

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from millis.quantization.observers import (
    SAMPLE,
    Observer,
    full_extent,
    moving_average,
    percentile_extent,
    widest,
)

BATCHES = [torch.tensor([[-1.0, 3.0]]), torch.tensor([[-5.0], [1.0]]), torch.tensor([0.0, 2.0, 7.0])]


def observed(extent, merge, batches=BATCHES):
    observer = Observer(extent, merge)
    for batch in batches:
        observer.observe(batch)
    return observer


def test_each_group_has_its_own_extent():
    low, high = full_extent(torch.tensor([[1.0, -2.0, 0.5], [4.0, 5.0, 6.0]]))
    assert (low.tolist(), high.tolist()) == ([[-2], [4]], [[1], [6]])


def test_min_max_keeps_the_widest():
    observer = observed(full_extent, widest)
    assert observer.range.tolist() == [-5, 7]
    assert observer.batches.item() == 3


def test_a_moving_average_starts_with_the_first_batch():
    # lows -1, -5, 0: -1 → 0.75 · -1 + 0.25 · -5 = -2 → 0.75 · -2 = -1.5; highs 3, 1, 7: 3 → 2.5 → 3.625
    observer = observed(full_extent, partial(moving_average, momentum=0.75))
    assert observer.range.tolist() == [-1.5, 3.625]


def test_a_percentile_drops_as_many_values_on_either_side():
    values = torch.arange(1000.0).flip(0)[None]
    # ⌊1000 · 0.001⌋ = 1 at each end, ⌊1000 · 0.05⌋ = 50
    assert [end.item() for end in percentile_extent(values, 99.9)] == [1, 998]
    assert [end.item() for end in percentile_extent(values, 95)] == [50, 949]
    assert [end.item() for end in percentile_extent(values, 100)] == [0, 999]


def test_a_small_group_keeps_its_whole_range():
    values = torch.arange(30.0).reshape(2, 15)
    assert [end.flatten().tolist() for end in percentile_extent(values, 99.0)] == [[0, 15], [14, 29]]


def test_a_percentile_of_many_values_is_taken_of_an_evenly_spaced_part():
    values = torch.zeros(1, 3 * SAMPLE)
    values[0, 1::3] = 100.0  # a third of the values that the part (every third, from the first on) does not hold
    assert [end.item() for end in percentile_extent(values, 99.9)] == [0, 0]


def test_a_percentile_is_averaged_over_batches():
    batches = [torch.arange(100.0), torch.arange(100.0) * 3]
    observer = observed(partial(percentile_extent, percentile=99.0), partial(moving_average, momentum=0.5), batches)
    assert observer.range.tolist() == [2, 196]  # means of 1 and 3, 98 and 294


def test_what_was_observed_is_in_the_state():
    first, second = observed(full_extent, widest), Observer(full_extent, widest)
    second.load_state_dict(first.state_dict())
    second.observe(torch.tensor([9.0, 0.0]))
    assert second.range.tolist() == [-5, 9]


@given(st.lists(st.lists(st.floats(-10, 10, width=32), min_size=1, max_size=5), min_size=1, max_size=5))
def test_an_average_lies_within_the_widest(rows):
    batches = [torch.tensor(row) for row in rows]
    wide, mean = (
        observed(full_extent, widest, batches),
        observed(full_extent, partial(moving_average, momentum=0.9), batches),
    )
    assert wide.range[0] <= mean.range[0] + 1e-5
    assert mean.range[1] <= wide.range[1] + 1e-5
    assert wide.range.tolist() == pytest.approx([min(map(min, rows)), max(map(max, rows))])
