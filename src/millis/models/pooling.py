"""Pooling: token states [B, S, D] to one vector a text [B, D], reading only the positions where the mask is 1.

Written with products and sums alone, so that a traced graph holds for every batch size and length.
"""

from collections.abc import Callable
from inspect import isfunction, signature

import torch
from torch import Tensor, nn

ACTIVATIONS: dict[str, Callable[[Tensor], Tensor]] = {
    "tanh": torch.tanh,
    "gelu": nn.functional.gelu,
    "relu": torch.relu,
}


def mean(states: Tensor, mask: Tensor) -> Tensor:
    """Mean over the tokens: sum_s mask_s * states_s / max(1, sum_s mask_s); a text without tokens gives zeros.

    Args:
        states: [B, S, D].
        mask: [B, S], 1 = token, 0 = padding.

    Returns:
        [B, D].
    """
    weights = mask.to(states.dtype)
    return (states * weights.unsqueeze(-1)).sum(dim=1) / weights.sum(dim=1, keepdim=True).clamp(min=1.0)


def cls(states: Tensor, mask: Tensor) -> Tensor:
    """State of the first position, where BERT-like encoders put `[CLS]`. Shapes as in `mean`; the mask is not read."""
    return states[:, 0]


def maximum(states: Tensor, mask: Tensor, floor: float) -> Tensor:
    """Maximum over the tokens, for states that never lie below `floor` (0 after ReLU, -1 for an LSTM's outputs).

    Padded positions count as `floor`, so they never win, and a text without tokens gives `floor` rather than -inf.
    Shapes as in `mean`.
    """
    keep = mask.to(states.dtype).unsqueeze(-1)
    return ((states - floor) * keep).amax(dim=1) + floor


POOLINGS: dict[str, Callable[[Tensor, Tensor], Tensor]] = {
    name: found
    for name, found in list(globals().items())
    if isfunction(found) and list(signature(found).parameters) == ["states", "mask"]
}
"""The functions here that need nothing but states and mask, by name: what a spec's `pooling` may be."""


class Pooler(nn.Module):
    """A pooling with a layer after it, as finished classifiers have: activation(W pool(states) + b).

    Args:
        pool: `mean` or `cls`.
        size: D.
        activation: One of `ACTIVATIONS`.
    """

    def __init__(self, pool: Callable[[Tensor, Tensor], Tensor], size: int, activation: str) -> None:
        super().__init__()
        self.of, self.activation = pool, ACTIVATIONS[activation]
        self.dense = nn.Linear(size, size)

    def forward(self, states: Tensor, mask: Tensor) -> Tensor:
        """[B, D]; shapes as in `mean`."""
        return self.activation(self.dense(self.of(states, mask)))
