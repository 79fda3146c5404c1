"""Which units stay, by hand and held to sorting."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from millis.errors import MillisError
from millis.pruning.allocation import check, keep, keep_highest, lowest, rounded


class Sized:
    """As much of a group as allocation asks for."""

    def __init__(self, size=1):
        self.size = size


SCORES = [torch.tensor([1.0, 2.0, 3.0, 4.0]), torch.tensor([[10.0, 20.0], [30.0, 40.0]])]


def test_global_takes_the_lowest_wherever_they_are():
    assert [k.tolist() for k in keep([Sized()] * 2, SCORES, 0.5, "global")] == [[False] * 4, [[True] * 2] * 2]


def test_local_takes_the_same_share_everywhere():
    found = keep([Sized()] * 2, SCORES, 0.5, "local")
    assert [k.tolist() for k in found] == [[False, False, True, True], [[False, False], [True, True]]]


def test_units_of_different_sizes_go_until_their_weights_add_up():
    # 2 units of 10 and 4 of 1, 24 weights. Half is 12: the lowest are 10, then 1, then 1.
    scores = [torch.tensor([0.0, 9.0]), torch.tensor([1.0, 2.0, 3.0, 4.0])]
    found = keep_highest(scores, [10, 1], 0.5)
    assert [k.tolist() for k in found] == [[False, True], [False, False, True, True]]


def test_a_large_unit_goes_when_at_least_half_of_it_is_below_the_target():
    scores, sizes = [torch.tensor([0.0]), torch.tensor([1.0, 2.0])], [10, 5]  # 20 weights
    assert keep_highest(scores, sizes, 0.24)[0].tolist() == [True]  # 4.8 < 10 / 2
    assert keep_highest(scores, sizes, 0.25)[0].tolist() == [False]  # 5.0


def test_of_equal_scores_the_first_goes_first():
    assert keep_highest([torch.zeros(5)], [1], 0.4)[0].tolist() == [False, False, True, True, True]
    assert keep_highest([torch.zeros(2), torch.zeros(2)], [1, 2], 0.5)[0].tolist() == [False, False]


@given(values=st.lists(st.integers(-3, 3), min_size=1, max_size=30), share=st.floats(0, 0.99), cut=st.integers(0, 30))
def test_selecting_is_sorting(values, share, cut):
    scores = torch.tensor(values, dtype=torch.float32)
    count = rounded(share * len(values))
    gone = sorted(sorted(range(len(values)), key=lambda i: (values[i], i))[:count])
    assert lowest(scores, count).nonzero().flatten().tolist() == gone
    parts = [part for part in (scores[:cut], scores[cut:]) if len(part)]
    kept = torch.cat(keep_highest(parts, [3] * len(parts), share))
    assert (~kept).nonzero().flatten().tolist() == gone


@given(
    counts=st.lists(st.tuples(st.integers(1, 6), st.integers(1, 9)), min_size=1, max_size=4),
    share=st.floats(0, 0.99),
    seed=st.integers(0, 99),
)
def test_the_target_is_met_to_a_unit(counts, share, seed):
    generator = torch.Generator().manual_seed(seed)
    scores = [torch.rand(count, generator=generator) for count, _ in counts]
    kept = keep_highest(scores, [size for _, size in counts], share)
    total = sum(count * size for count, size in counts)
    gone = sum(int((~k).sum()) * size for k, (_, size) in zip(kept, counts, strict=True))
    assert abs(gone - share * total) <= max(size for _, size in counts) / 2 + 1e-6


def test_halves_are_rounded_up():
    assert [rounded(value) for value in (0.0, 0.5, 1.49, 1.5, 2.5)] == [0, 1, 1, 2, 3]


def test_an_unknown_allocation_is_refused():
    with pytest.raises(MillisError) as caught:
        check("globl")
    assert str(caught.value) == (
        "pruning.allocation='globl' is unknown; expected global (one threshold for all layers) or local (the same "
        "share in every layer) (did you mean 'global'?)"
    )
