"""Which layers a model calls, and which of them read the very same tensor: found by running it on one short text."""

from collections.abc import Iterable
from functools import partial
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn


class Call(NamedTuple):
    """One call of a module in a forward pass."""

    name: str
    layer: nn.Module
    reads: Tensor | None  # its first argument, where that holds floats
    writes: Any  # what it returns


def calls(model: nn.Module) -> list[Call]:
    """Every call of every module in a forward pass on three tokens, as they end; the model's mode is left as it was.

    Args:
        model: `forward(input_ids, attention_mask, ...)`.
    """
    found: list[Call] = []

    def note(name: str, layer: nn.Module, args: tuple[Any, ...], output: Any) -> None:
        floats = args and isinstance(args[0], Tensor) and args[0].is_floating_point()
        found.append(Call(name, layer, args[0] if floats else None, output))

    handles = [module.register_forward_hook(partial(note, name)) for name, module in model.named_modules()]
    training = model.training
    try:
        ids = torch.zeros(1, 3, dtype=torch.int64, device=next(model.parameters()).device)
        with torch.no_grad():
            model.eval()(ids, torch.ones_like(ids))
    finally:
        model.train(training)
        for handle in handles:
            handle.remove()
    return found


def by_tensor(found: Iterable[Call]) -> list[list[Call]]:
    """The calls that read floats, those of one tensor together, in order."""
    groups: dict[int, list[Call]] = {}
    for call in found:
        if call.reads is not None:
            groups.setdefault(id(call.reads), []).append(call)
    return list(groups.values())
