"""Features: what a transformer computes between its tokens and its logits, caught while it runs.

Kinds, each [B, S, width] in one forward pass:

    embedding    0        the first block's input: word and position vectors, normalised          width D
    hidden       l        block l's output, l = 0..L-1                                            width D
    query        l        block l's projections, all heads side by side: head h of size d owns    width A = H · d
    key          l        channels h·d .. (h+1)·d - 1
    value        l
    exit         l        logits [B, C] of the classifier after block l (`millis.models.exits`)

Attention probabilities are no kind: the fused kernels never give them out, and they follow from query and key
(`scores`, `log_probabilities`), which take S·A numbers instead of H·S².
"""

import math
from collections.abc import Callable, Collection, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from functools import partial
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from millis.errors import MillisError
from millis.models import anatomy
from millis.models.blocks import blocks_of
from millis.models.spec import Spec
from millis.models.transformer_spec import known

PROJECTIONS = ("query", "key", "value")


class Feature(NamedTuple):
    """One kind at one layer, counted from 0; `str` of it is `hidden/3`."""

    kind: str
    layer: int

    def __str__(self) -> str:
        return f"{self.kind}/{self.layer}"


@dataclass(frozen=True)
class Sizes:
    """A transformer's sizes, as far as its features show them.

    Args:
        hidden: D.
        heads: H of each layer, [L]; 0 where a layer's attention was pruned away.
        head_size: d.
    """

    hidden: int
    heads: tuple[int, ...]
    head_size: int

    @property
    def layers(self) -> int:
        """L."""
        return len(self.heads)

    def width(self, feature: Feature) -> int:
        """Last axis of `feature`."""
        return self.heads[feature.layer] * self.head_size if feature.kind in PROJECTIONS else self.hidden


def sizes(spec: Spec, owner: str) -> Sizes:
    """Sizes of the model that `spec` describes.

    Args:
        owner: "student" or "teacher", for the message.

    Raises:
        MillisError: a family without layers, or an architecture whose parts are not known.
    """
    if (found := known(spec)) is None:
        raise MillisError(
            f"the {owner} is a {spec.kind!r} model: it has no layers whose hidden states or attention could be "
            f"matched. Feature terms need a transformer ({', '.join(anatomy.supported())}) on both sides; choose "
            "distillation=logits, or student=transformer"
        )
    return Sizes(anatomy.hidden_size(found), found.known_shape.heads, found.known_shape.head_size)


class Place(NamedTuple):
    """Where features of a kind are caught.

    Args:
        module: Of a model and a layer.
        enters: Whether a feature is what enters the module, not what leaves it.
    """

    module: Callable[[Any, int], nn.Module]
    enters: bool = False


def _block(model: Any, layer: int) -> nn.Module:
    return blocks_of(model)[layer]


def _projection(name: str, model: Any, layer: int) -> nn.Module:
    found: nn.Module = getattr(anatomy.find(model.spec.kind).layers(model.encoder)[layer], name)
    return found


def _exit(model: Any, layer: int) -> nn.Module:
    found: nn.Module = model.between.classifiers[layer]
    return found


PLACES = {
    "embedding": Place(_block, enters=True),
    "hidden": Place(_block),
    **{name: Place(partial(_projection, name)) for name in PROJECTIONS},
    "exit": Place(_exit),
}


@contextmanager
def capture(model: Any, wanted: Collection[Feature]) -> Iterator[dict[Feature, Tensor]]:
    """Catch the features `wanted` of every forward pass of `model` inside this; with none wanted, do nothing.

    Modules are looked up and hooked anew each time, so parts may be replaced while a model trains (quantization,
    factorization), and nothing of it is left in the model afterwards. Gradients flow through what is caught.

    Yields:
        Feature → [B, S, width] of the latest pass, in the type it was computed in.

    Raises:
        RuntimeError: a pass was made that did not reach a wanted feature. A loss over what is missing would be 0.
    """
    found: dict[Feature, Tensor] = {}
    if not wanted:
        yield found
        return
    with ExitStack() as hooks:
        for feature in wanted:
            place = PLACES[feature.kind]
            module = place.module(model, feature.layer)
            if place.enters:
                hook = module.register_forward_pre_hook(_keep_input(found, feature), with_kwargs=True)
            else:
                hook = module.register_forward_hook(_keep_output(found, feature))
            hooks.callback(hook.remove)
        yield found
    if missing := sorted(str(feature) for feature in set(wanted) - set(found)):
        raise RuntimeError(f"the model's forward pass did not reach {', '.join(missing)}")


def _keep_output(found: dict[Feature, Tensor], feature: Feature) -> Callable[..., None]:
    def hook(_module: nn.Module, _inputs: Any, output: Any) -> None:
        found[feature] = output[0] if isinstance(output, tuple) else output

    return hook


def _keep_input(found: dict[Feature, Tensor], feature: Feature) -> Callable[..., None]:
    def hook(_module: nn.Module, inputs: tuple[Any, ...], named: dict[str, Any]) -> None:
        found[feature] = inputs[0] if inputs else named["hidden_states"]

    return hook


def split_heads(features: Tensor, heads: int) -> Tensor:
    """[B, S, A] → [B, heads, S, A / heads]; channels that lie together stay together."""
    rows, length, width = features.shape
    split: Tensor = features.view(rows, length, heads, width // heads).transpose(1, 2)
    return split


def scores(left: Tensor, right: Tensor, heads: int) -> Tensor:
    """Scaled dot products left · rightᵀ / √(A / heads), head by head (1706.03762, equation 1, before its softmax).

    Args:
        left, right: [B, S, A]. Query and key with the model's own number of heads give its attention scores.
        heads: Divides A.

    Returns:
        [B, heads, S, S].
    """
    size = left.shape[-1] // heads
    products: Tensor = split_heads(left, heads) @ split_heads(right, heads).transpose(-1, -2)
    return products / math.sqrt(size)


def log_probabilities(scores: Tensor, mask: Tensor) -> Tensor:
    """Logarithm of each token's attention over the tokens of its text: log-softmax over the last axis.

    Args:
        scores: [B, H, S, S].
        mask: [B, S], 1 = token, 0 = padding, which nobody attends to.

    Returns:
        [B, H, S, S]; about -1e38 at padded keys, finite so that 0 · (difference) stays 0 in a divergence.
    """
    padded = (mask == 0)[:, None, None, :]
    logs: Tensor = torch.log_softmax(scores.masked_fill(padded, torch.finfo(scores.dtype).min), dim=-1)
    return logs
