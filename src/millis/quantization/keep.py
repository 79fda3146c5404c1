"""Layers that stay fp32, or get more bits than the others, by name: patterns against a model's layers."""

from collections.abc import Collection, Sequence
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
    return _described("keep", patterns, list(quantizable(model)), "layers")


def finer(model: nn.Module, patterns: Sequence[str], kept: Collection[str] = ()) -> tuple[str, ...]:
    """Names of the linear layers that one of `patterns` describes, in the model's order: they get 8 bits.

    Args:
        kept: Names of the layers that stay fp32.

    Raises:
        MillisError: a pattern that describes no linear layer, or one that stays fp32.
    """
    found = _described("int8", patterns, list(linears(model)), "linear layers")
    if both := [name for name in found if name in kept]:
        raise MillisError(
            f"quantization.int8 describes {both[0]}, which quantization.keep leaves in fp32: expected each layer in "
            "one of them at most"
        )
    return found


def _described(option: str, patterns: Sequence[str], names: list[str], what: str) -> tuple[str, ...]:
    for pattern in patterns:
        if not any(_describes(pattern, name) for name in names):
            parts = dict.fromkeys(part for name in names for part in _path(name))
            raise MillisError(
                f"quantization.{option} has {pattern!r}, which describes none of the {len(names)} {what} of this model"
                f"{nearest(pattern, parts)}. Expected names such as {', '.join(names[:1] + names[-2:])}"
            )
    return tuple(name for name in names if any(_describes(pattern, name) for pattern in patterns))


def _describes(pattern: str, name: str) -> bool:
    return any(fnmatchcase(part, pattern) for part in _path(name))


def _path(name: str) -> list[str]:
    """`a.b.c` → a, a.b, a.b.c."""
    steps = name.split(".")
    return [".".join(steps[:length]) for length in range(1, len(steps) + 1)]
