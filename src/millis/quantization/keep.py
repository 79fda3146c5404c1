"""Layers that stay fp32, by name: patterns against a model's layers."""

from collections.abc import Sequence
from fnmatch import fnmatchcase

from torch import nn
from transformers.pytorch_utils import Conv1D

from millis.errors import MillisError, nearest

KINDS = (nn.Linear, Conv1D, nn.Embedding, nn.Conv1d, nn.LSTM)  # what has weights that a backend may store as integers


def quantizable(model: nn.Module) -> dict[str, nn.Module]:
    """The layers of `model` that may be quantized, by name."""
    return {name: module for name, module in model.named_modules() if isinstance(module, KINDS)}


def linears(model: nn.Module) -> dict[str, nn.Linear]:
    """The linear layers among them."""
    return {name: module for name, module in model.named_modules() if isinstance(module, nn.Linear)}


def matching(model: nn.Module, patterns: Sequence[str]) -> tuple[str, ...]:
    """Names of the layers that one of `patterns` describes, in the model's order.

    A pattern is a layer's name, or that of a part that holds layers, in the manner of file names: `head`,
    `encoder.encoder.layer.0`, `*.output.dense`.

    Raises:
        MillisError: a pattern that describes no layer.
    """
    names = list(quantizable(model))
    for pattern in patterns:
        if not any(_describes(pattern, name) for name in names):
            parts = dict.fromkeys(part for name in names for part in _path(name))
            raise MillisError(
                f"quantization.keep has {pattern!r}, which describes none of the {len(names)} layers of this model"
                f"{nearest(pattern, parts)}. Expected names such as {', '.join(names[:1] + names[-2:])}"
            )
    return tuple(name for name in names if any(_describes(pattern, name) for pattern in patterns))


def _describes(pattern: str, name: str) -> bool:
    return any(fnmatchcase(part, pattern) for part in _path(name))


def _path(name: str) -> list[str]:
    """`a.b.c` → a, a.b, a.b.c."""
    steps = name.split(".")
    return [".".join(steps[:length]) for length in range(1, len(steps) + 1)]
