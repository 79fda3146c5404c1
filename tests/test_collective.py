"""What several processes have seen, with another process that says what it has."""

import pytest
import torch

from millis import collective
from millis.quantization.observers import Observer, full_extent, widest

OPERATIONS = {"SUM": torch.add, "MIN": torch.minimum, "MAX": torch.maximum}


@pytest.fixture
def other(monkeypatch):
    """A second process, which has `values` in every exchange."""

    def make(*values):
        said = iter(torch.tensor(value) for value in values)
        named = {getattr(torch.distributed.ReduceOp, name): combine for name, combine in OPERATIONS.items()}
        exchange = lambda mine, operation: mine.copy_(named[operation](mine, next(said)))  # noqa: E731
        monkeypatch.setattr(torch.distributed, "is_initialized", lambda: True)
        monkeypatch.setattr(torch.distributed, "get_world_size", lambda: 2)
        monkeypatch.setattr(torch.distributed, "all_reduce", exchange)

    return make


@pytest.mark.parametrize(
    ("reduce", "expected"),
    [
        (collective.summed, [5.0, 1.0]),
        (collective.averaged, [2.5, 0.5]),
        (collective.lowest, [1.0, -2.0]),
        (collective.highest, [4.0, 3.0]),
    ],
)
def test_two_are_put_together_and_ones_own_stays(other, reduce, expected):
    mine = torch.tensor([1.0, 3.0])
    assert reduce(mine) is mine, "alone"
    other([4.0, -2.0])
    assert reduce(mine).tolist() == expected
    assert mine.tolist() == [1.0, 3.0]


def test_a_range_is_that_of_all_processes(other):
    other([-5.0], [1.0])  # its low and its high end
    observer = Observer(full_extent, widest)
    observer.observe(torch.tensor([[0.0, 2.0], [-1.0, 1.0]]))
    assert observer.range.tolist() == [-5.0, 2.0]
