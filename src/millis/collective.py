"""What all processes that train together have seen; what this one has seen, where it trains alone."""

from typing import Any

from torch import Tensor, distributed


def summed(values: Tensor) -> Tensor:
    """The sum over processes, of any shape."""
    return _reduced(values, distributed.ReduceOp.SUM)


def averaged(values: Tensor) -> Tensor:
    """The mean over processes, of any shape."""
    return summed(values) / distributed.get_world_size() if distributed.is_initialized() else values


def lowest(values: Tensor) -> Tensor:
    """The smallest over processes, of any shape."""
    return _reduced(values, distributed.ReduceOp.MIN)


def highest(values: Tensor) -> Tensor:
    """The largest over processes, of any shape."""
    return _reduced(values, distributed.ReduceOp.MAX)


def _reduced(values: Tensor, operation: Any) -> Tensor:
    if not distributed.is_initialized():
        return values
    values = values.clone()
    distributed.all_reduce(values, operation)
    return values
