"""SmoothQuant (Xiao et al. 2023, 2211.10438): a spread of activations between channels is moved into the weights.

A few channels of a transformer's activations are tens of times larger than the rest, and one range for the whole tensor
leaves those few integers. Section 4, equations 3 and 4:

    Y = (X diag(s)⁻¹) (diag(s) W),   s_j = max|X_j|^α / max|W_j|^(1-α)

max|X_j| over the calibration texts, max|W_j| over the weights that input j meets, in all layers that read X (query, key
and value read one tensor). The product is the same; both factors are easier to round.

Where 1/s goes. In a block with the layer norm first it can be folded into that norm. In BERT's blocks the norm's output
is also the residual, which folding would scale too, so the paper's remedy is one product more on the residual. One
product on what enters the linear layers costs the same (all-MiniLM-L6-v2, static int8, 16 tokens: 2 % for all 24
tensors), needs no norm, and serves the feed-forward's second layer as well, which reads GELU's output.

Departure: a tensor is smoothed only where that lowers the error of the rounded products on the calibration texts. At
α = 0.5 smoothing GELU's output does harm (mean cosine of all-MiniLM-L6-v2's vectors to fp32 0.993 → 0.984), at 0.8 it
is what helps most (→ 0.998).
"""

import copy
from collections.abc import Sequence
from typing import Any, NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from millis.quantization.arithmetic import Arithmetic
from millis.quantization.calls import by_tensor, calls
from millis.quantization.simulate import input_rounding, layer_inputs, weight_rounding
from millis.types import Features

ROWS = 1024  # tokens on which the error is judged
SMALLEST = 1e-5  # of a maximum: a channel that is never active, or has no weights, divides nothing by 0


class Smoothed(NamedTuple):
    """What was done: how many tensors of how many that linear layers read."""

    model: nn.Module
    smoothed: int
    tensors: int


def factors(largest: Tensor, weights: Sequence[Tensor], alpha: float) -> Tensor:
    """s [in], equation 4.

    Args:
        largest: max|X_j|, [in].
        weights: [out, in] of every layer that reads X.
        alpha: α in [0, 1].
    """
    columns = torch.stack([weight.abs().amax(dim=0) for weight in weights]).amax(dim=0)
    return largest.clamp(min=SMALLEST) ** alpha / columns.clamp(min=SMALLEST) ** (1 - alpha)


@torch.no_grad()
def smooth(model: nn.Module, requests: Sequence[Features], arithmetic: Arithmetic, alpha: float) -> Smoothed:
    """A copy of `model` that computes the same, with smoothed inputs where that makes rounding less harmful.

    Names of weights stay; each smoothed tensor is divided on its way into the layers that read it.

    Args:
        model: In evaluation mode, on the CPU; left as it was.
        requests: Calibration texts, [1, S] each, without padding.
        arithmetic: The backend's, by which rounding is judged.
        alpha: α.
    """
    model = copy.deepcopy(model)
    groups = [
        {call.name: call.layer for call in group if isinstance(call.layer, nn.Linear)}
        for group in by_tensor(calls(model))
    ]
    groups = [group for group in groups if group]
    seen = _activations(model, groups, requests)
    smoothed = 0
    for group, (largest, rows) in zip(groups, seen, strict=True):
        layers = list(group.values())
        s = factors(largest, [layer.weight for layer in layers], alpha)
        if _error(layers, rows, s, arithmetic) < _error(layers, rows, torch.ones_like(s), arithmetic):
            divide = Divide(1 / s)
            for layer in layers:
                layer.weight = nn.Parameter(layer.weight * s)  # its own: a token table may have the one that it had
                layer.register_forward_pre_hook(divide)
            smoothed += 1
    return Smoothed(model, smoothed, len(groups))


class Divide:
    """A layer's input, divided by s on its way in; layers that read one tensor share the quotient.

    Args:
        reciprocal: 1 / s, [in].
    """

    def __init__(self, reciprocal: Tensor) -> None:
        self.reciprocal = reciprocal
        self._read: Tensor | None = None
        self._quotient: Tensor | None = None

    def __call__(self, layer: nn.Module, args: tuple[Any, ...]) -> tuple[Any, ...]:
        if args[0] is not self._read or self._quotient is None:
            self._read, self._quotient = args[0], args[0] * self.reciprocal
        return (self._quotient, *args[1:])


def _activations(
    model: nn.Module, groups: Sequence[dict[str, nn.Linear]], requests: Sequence[Features]
) -> list[tuple[Tensor, Tensor]]:
    """For each group max|X_j| [in], and up to `ROWS` rows of X [R, in], the first token of every text among them."""
    first = {next(iter(group)): next(iter(group.values())) for group in groups}
    largest: dict[str, Tensor] = {}
    rows: dict[str, list[Tensor]] = {name: [] for name in first}
    share = max(1, ROWS // len(requests))
    for request in requests:
        for name, array in layer_inputs(model, first, request).items():
            x = torch.from_numpy(array).flatten(0, -2)
            peak = x.abs().amax(dim=0)
            largest[name] = torch.maximum(largest.get(name, peak), peak)
            if len(rows[name]) < ROWS:
                rows[name].append(x[:: -(-len(x) // share)].clone())
    return [(largest[name], torch.cat(rows[name])) for name in first]


def _error(layers: Sequence[nn.Linear], rows: Tensor, s: Tensor, plan: Arithmetic) -> float:
    """Σ ‖round(X / s) round(s W) - X W‖² over the layers, one range for all rows of X."""
    weight = weight_rounding(plan.matrix)
    x = input_rounding(plan)((rows / s).unsqueeze(0)).squeeze(0)
    return sum(
        float((F.linear(x, weight(layer.weight * s)) - F.linear(rows, layer.weight)).square().sum()) for layer in layers
    )
