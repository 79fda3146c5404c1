"""The parts of a transformer that go as a whole, found through `millis.models.anatomy` with their names."""

from collections.abc import Iterator
from itertools import takewhile
from typing import Any

from torch import nn

from millis.errors import MillisError
from millis.models import anatomy
from millis.models.encoder_decoder_spec import SMALLER, EncoderDecoderSpec
from millis.models.low_rank import LowRankLinear
from millis.models.parts import Anatomy, Layer
from millis.models.transformer_spec import TransformerSpec

LINEARS = ("query", "key", "value", "attention_output", "ffn_in", "ffn_out")


def blocks(model: Any, unit: str) -> list[Layer]:
    """The blocks of a student, first to last.

    Args:
        unit: What is to be pruned, for the message.

    Raises:
        MillisError: the student is no transformer, its architecture's parts are not known, or they have been
            factorized.
    """
    parts = known(model, unit)
    layers = parts.layers(model.encoder)
    for layer in layers:
        for role in LINEARS:
            if isinstance(getattr(layer, role), LowRankLinear):
                raise MillisError(
                    f"pruning {unit} needs whole matrices, but {name_of(model, getattr(layer, role))!r} has been "
                    "factorized: choose factorization=none, or a pruning of single weights such as pruning=magnitude"
                )
    return layers


def known(model: Any, unit: str) -> Anatomy:
    """The anatomy of a student.

    Raises:
        MillisError: the student is no transformer, its architecture's parts are not known, or its blocks have gates,
            norms without biases and heads that share keys, whose masks are not written.
    """
    spec = model.spec
    if isinstance(spec, EncoderDecoderSpec):
        raise MillisError(
            f"pruning {unit} needs a transformer of one stack, and a {spec.kind!r} student has two. Choose "
            f"pruning=none, and {SMALLER}"
        )
    if not isinstance(spec, TransformerSpec):
        raise MillisError(
            f"pruning {unit} needs a transformer; a student of family {spec.family!r} has none. Choose a "
            "pruning of single weights or blocks, such as pruning=magnitude, or student=transformer"
        )
    found = anatomy.find(spec.kind)
    if any(layer.ffn_gate is not None for layer in found.layers(model.encoder)):
        raise MillisError(
            f"pruning {unit} knows no gates and no root mean square norms, which a {spec.kind!r} model has. Cut it "
            "before it trains (student.layers, heads, ffn_size, hidden_size), or choose a pruning of single weights "
            "such as pruning=magnitude"
        )
    return found


def numbered(layers: list[Layer], output: str) -> Iterator[tuple[int, Layer]]:
    """(index, block) of the blocks whose linear `output` has inputs left."""
    return ((index, layer) for index, layer in enumerate(layers) if getattr(layer, output).in_features > 0)


def name_of(model: nn.Module, part: nn.Module) -> str:
    """Dotted name of a part."""
    name: str = next(name for name, module in model.named_modules() if module is part)
    return name


def block_of(model: nn.Module, layer: Layer) -> str:
    """Dotted name of a block: what the names of its two norms have in common."""
    one, two = (name_of(model, norm).split(".") for norm in (layer.attention_norm, layer.ffn_norm))
    shared: Iterator[tuple[str, str]] = takewhile(lambda pair: pair[0] == pair[1], zip(one, two, strict=False))
    return ".".join(part for part, _ in shared)
