"""What enters a model's layers on texts, in the order of its calls, while the layers before them change.

Each question is a forward pass that ends where it is answered. Blocks that come before are not computed again: what the
last of them gave is kept for every text, and all of them give that.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import partial
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from millis.models.blocks import blocks_of
from millis.models.spec import spec_of
from millis.models.transformer_spec import known
from millis.quantization.calls import calls
from millis.quantization.simulate import tensors
from millis.types import Features


class Readers(NamedTuple):
    """Layers that read the very same tensors, by name.

    Args:
        layers: Of one number of inputs.
        calls: How often a forward pass calls each.
    """

    layers: dict[str, nn.Linear]
    calls: int


def readers(model: nn.Module, layers: Mapping[str, nn.Linear]) -> list[Readers]:
    """Those of `layers` that a forward pass calls, grouped by what they read, in the order of their first calls."""
    found = calls(model)  # holds the tensors, so that no two have one id
    read: dict[str, list[int]] = {}
    for call in found:
        if call.name in layers and call.reads is not None:
            read.setdefault(call.name, []).append(id(call.reads))
    groups: dict[tuple[int, ...], dict[str, nn.Linear]] = {}
    for name, seen in read.items():
        groups.setdefault(tuple(seen), {})[name] = layers[name]
    return [Readers(group, len(seen)) for seen, group in groups.items()]


class Replay:
    """Forward passes of texts, from the last block that is settled to the layer that is asked about.

    Args:
        model: In evaluation mode, on the CPU. Weights of layers may change once all before them are as they will be.
        batches: Texts, [B, S] each, without padding.
        groups: Of the layers that will be asked about, in order.
    """

    def __init__(self, model: nn.Module, batches: Sequence[Features], groups: Sequence[Readers]) -> None:
        self._model, self._batches = model, [tensors(batch) for batch in batches]
        self._blocks = [] if any(group.calls > 1 for group in groups) else _blocks(model)
        self._place = {id(part): place for place, block in enumerate(self._blocks) for part in block.modules()}
        self._settled = 0  # blocks that are not computed again
        self._outputs: list[Any] = [None] * len(self._batches)  # of the last of these, for each batch

    @torch.no_grad()
    def products(self, group: Readers) -> Tensor:
        """Σ x xᵀ [I, I] over what the layers of `group` read on all texts, fp64."""
        layer = next(iter(group.layers.values()))
        self._advance(self._place.get(id(layer), self._settled))
        total = torch.zeros(layer.in_features, layer.in_features, dtype=torch.float64)
        for batch in range(len(self._batches)):
            self._run(batch, layer.register_forward_pre_hook(_Sum(total, group.calls)))
        return total

    def _advance(self, place: int) -> None:
        """Settle the blocks before `place`."""
        if place <= self._settled:
            return
        outputs = list(self._outputs)
        for batch in range(len(self._batches)):
            hook = partial(_keep, partial(outputs.__setitem__, batch))
            self._run(batch, self._blocks[place - 1].register_forward_hook(hook))
        self._settled, self._outputs = place, outputs

    def _run(self, batch: int, handle: Any) -> None:
        """A forward pass up to what the hook of `handle` waits for."""
        try:
            with self._skipped(self._outputs[batch]):
                self._model(*self._batches[batch])
        except _Reached:
            pass
        finally:
            handle.remove()

    @contextmanager
    def _skipped(self, output: Any) -> Iterator[None]:
        skipped = self._blocks[: self._settled]
        for block in skipped:
            block.forward = lambda *_, **__: output
        try:
            yield
        finally:
            for block in skipped:
                del block.forward


class _Reached(Exception):
    """A forward pass has got where it was to get."""


class _Sum:
    """Adds x xᵀ of what a layer reads to `total`; after so many calls the forward pass ends."""

    def __init__(self, total: Tensor, calls: int) -> None:
        self._total, self._left = total, calls

    def __call__(self, layer: nn.Module, args: tuple[Any, ...]) -> None:
        rows = args[0].reshape(-1, args[0].shape[-1])
        self._total += rows.t() @ rows
        self._left -= 1
        if self._left == 0:
            raise _Reached


def _keep(keep: Callable[[Any], None], block: nn.Module, args: tuple[Any, ...], output: Any) -> None:
    keep(output)
    raise _Reached


def _blocks(model: nn.Module) -> list[nn.Module]:
    """Blocks that give states of one shape, first to last; none where they are not known, or tokens are dropped."""
    spec = spec_of(model)
    shaped = None if spec is None else known(spec)
    return [] if shaped is None or shaped.tokens else blocks_of(model)
