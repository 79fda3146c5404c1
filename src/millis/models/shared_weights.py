"""Weights that stand under several names, such as a table of token vectors that is the output matrix too."""

from collections.abc import Mapping

import torch
from torch import Tensor


def unshared(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The tensors of a state dict, those that share memory under the first of their names alone."""
    seen: set[tuple[int, torch.Size]] = set()
    found = {}
    for name, value in state.items():
        key = (value.data_ptr(), value.shape)
        if value.numel() and key in seen:
            continue
        seen.add(key)
        found[name] = value
    return found
