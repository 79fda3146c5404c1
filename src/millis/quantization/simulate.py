"""Rounding for a moment: chosen linear layers compute with the integers that a backend would give them, then no more.

The arithmetic is the backend's, the one that quantization-aware training trains with. Inputs
are requests of equal length without padding, so a row's range is a request's range.
"""

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from functools import partial
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from millis.models.outputs import each
from millis.models.spec import spec_of
from millis.quantization.arithmetic import Arithmetic, Stored
from millis.quantization.calibration import Range, ranges
from millis.quantization.fake_quantize import UINT8, fake_quantize
from millis.quantization.inputs import DynamicInput, RowInput
from millis.quantization.keep import finer, linears
from millis.quantization.observers import full_extent
from millis.quantization.spec import Quantization
from millis.quantization.steps import RangeSteps, affine
from millis.quantization.weights import WeightQuantizer
from millis.types import Features

Round = Callable[[Tensor], Tensor]
"""A tensor in, the tensor on its grid out."""


class Simulation:
    """How each linear layer of a model would be rounded.

    Args:
        model: In evaluation mode, on the CPU; left as it is but inside `rounded`.
        quantization: What a backend would be asked for.
        arithmetic: What it would compute then.
        requests: Calibration texts; read where activations are static.
    """

    def __init__(
        self, model: nn.Module, quantization: Quantization, arithmetic: Arithmetic, requests: Sequence[Features]
    ) -> None:
        self.model, self.layers = model, linears(model)
        eight = finer(model, quantization.int8)
        self._weights = {name: weight_rounding(arithmetic.stored(name in eight)) for name in self.layers}
        self._inputs: dict[str, Round] = {}
        if arithmetic.activations == "static" and quantization.calibration is not None:
            found = ranges(partial(layer_inputs, model, self.layers), requests, quantization.calibration)
            self._inputs = {name: partial(_static, found[name]) for name in found}
        elif arithmetic.activations in ("dynamic", "rows"):
            self._inputs = dict.fromkeys(self.layers, input_rounding(arithmetic))

    @contextmanager
    def rounded(self, names: Collection[str]) -> Iterator[None]:
        """Within, the layers `names` compute with rounded weights and inputs."""
        with ExitStack() as stack:
            for name in names:
                layer = self.layers[name]
                stack.callback(setattr, layer.weight, "data", layer.weight.data)
                layer.weight.data = self._weights[name](layer.weight.data)
                if name in self._inputs:
                    hook = partial(_round_input, self._inputs[name])
                    stack.callback(layer.register_forward_pre_hook(hook).remove)
            yield


@torch.no_grad()
def logits(model: nn.Module, batches: Sequence[Features]) -> tuple[Tensor, ...]:
    """Logits [M, C] of each output for batches without padding, in their order: of texts, or of all their tokens but
    the special ones around a text."""
    spec = spec_of(model)
    before, after = (0, 0) if spec is None else map(len, spec.around)
    parts = []
    for batch in batches:
        inside = slice(before, max(before, batch.ids.shape[1] - after))
        outputs = each(model(*tensors(batch)))
        parts.append([rows if rows.dim() == 2 else rows[:, inside].flatten(0, 1) for rows in outputs])
    return tuple(torch.cat(rows) for rows in zip(*parts, strict=True))


def tensors(features: Features) -> tuple[Tensor, ...]:
    """A batch as a model's `forward` takes it."""
    return tuple(torch.from_numpy(array) for array in features if array is not None)


@torch.no_grad()
def layer_inputs(
    model: nn.Module, layers: Mapping[str, nn.Module], request: Features
) -> dict[str, NDArray[np.float32]]:
    """What enters each of `layers` on one request, by name; layers that are not called are left out."""
    found: dict[str, NDArray[np.float32]] = {}

    def note(name: str, _: nn.Module, args: tuple[Any, ...]) -> None:
        found[name] = args[0].numpy()

    handles = [layer.register_forward_pre_hook(partial(note, name)) for name, layer in layers.items()]
    try:
        model(*tensors(request))
    finally:
        for handle in handles:
            handle.remove()
    return found


def weight_rounding(stored: Stored) -> Round:
    """Rounds a weight on the range of its groups."""
    return WeightQuantizer(stored.grouping, RangeSteps(stored.rule, full_extent, stored.grid, covers=True))


def input_rounding(plan: Arithmetic) -> Round:
    """Rounds an activation [B, ...] on the range of each text or token; not at all where it stays as it is."""
    if plan.activations == "none":
        return torch.nn.Identity()
    return partial(RowInput() if plan.activations == "rows" else DynamicInput(), real=None)


def _static(found: Range, x: Tensor) -> Tensor:
    scale, zero_point = affine(torch.tensor(found[0]), torch.tensor(found[1]), UINT8)
    return fake_quantize(x, scale, zero_point, UINT8)


def _round_input(rounding: Round, _: nn.Module, args: tuple[Any, ...]) -> tuple[Any, ...]:
    return (rounding(args[0]), *args[1:])
