"""What a converted model knows beyond its weights: the integers and steps that training settled on.

A converted model is plain: its fp32 weights lie on their grids. Where a backend that quantizes them by their range
finds the very same integers, nothing more is needed. Where training found other steps (learned, clipped by a
percentile), or fixed the range of an activation, `model.quantization` holds, by name:

    <layer>.<tensor>.values      int8 or uint8, the tensor's shape
    <layer>.<tensor>.scale       fp32 [G], or [] where one step serves the whole tensor
    <layer>.<tensor>.zero_point  as the values' type, shaped as the scale
    <layer>.input.scale, <layer>.input.zero_point   fp32 [] and uint8 [], of a static activation

It is no part of the state dict, whose names must stay those of the spec's architecture; `save_parameters` and
`load_parameters` put it beside the weights in one file of tensors.
"""

from collections.abc import Mapping
from typing import Any

from torch import Tensor, nn

Parameters = dict[str, Tensor]
PREFIX = "quantization."


def save_parameters(model: nn.Module) -> Parameters:
    """The model's parameters under names that no weight has; empty where it has none.

    `save(model.state_dict() | save_parameters(model))` keeps both in one safetensors file.
    """
    kept: Parameters = getattr(model, "quantization", {})
    return {f"{PREFIX}{name}": tensor.contiguous() for name, tensor in kept.items()}


def forget(model: Any, prefix: str) -> None:
    """Drop the parameters of layers under `prefix`, whose weights were trained further without rounding."""
    kept: Parameters = getattr(model, "quantization", {})
    if kept:
        model.quantization = {name: value for name, value in kept.items() if not name.startswith(prefix)}


def load_parameters(model: Any, tensors: Mapping[str, Tensor]) -> Parameters:
    """Give `model` the parameters among `tensors`, as saved; the rest, its weights, is returned.

    `model.load_state_dict(load_parameters(model, load_file(path)))` restores a converted model.
    """
    model.quantization = {name.removeprefix(PREFIX): t for name, t in tensors.items() if name.startswith(PREFIX)}
    return {name: tensor for name, tensor in tensors.items() if not name.startswith(PREFIX)}
