"""AWQ (Lin et al. 2024, 2306.00978): weights that large activations meet are scaled up before they are rounded.

A weight's rounding errs by the same whatever it is multiplied with, so that what matters is what the input brings. The
inputs of a linear layer are divided by s and its weights multiplied, which changes nothing but the rounding (section
3.2, equations 2 to 5):

    Q(W diag(s)) (diag(s)⁻¹ X),   s = s_X^α,   α* = argmin over a grid of ‖Q(W diag(s)) diag(s)⁻¹ X - W X‖²

s_X is each input's magnitude on calibration texts. 1/s is folded into what makes the inputs: the norm before queries,
keys and values and before the feed-forward part (pre-norm blocks; a post-norm block's norm is its residual too), the
values before the attention's output where heads share none, and the ungated half before a gated feed-forward's output.
Layers that read the same share s. No product is added; weights are then rounded by whoever writes them.

Departures: s_X is the root of the mean square, for the Hessian that gives all errors at once, Σ x xᵀ, has it, where the
authors take the mean of magnitudes; and the error is that of the layers that read, where they take a block's.
"""

import copy
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from millis.errors import MillisError
from millis.models import anatomy
from millis.models.hessian import check_finite
from millis.models.parts import Layer
from millis.models.transformer_spec import known
from millis.quantization.arithmetic import Arithmetic, Stored
from millis.quantization.calibration import by_length
from millis.quantization.fake_quantize import centred
from millis.quantization.gptq import grid
from millis.quantization.replay import Replay, readers
from millis.quantization.spec import Awq
from millis.types import Features

SMALLEST = 1e-4  # of the largest magnitude: an input that is hardly ever active divides nothing by 0


class Scaled(NamedTuple):
    """What was done: in how many of the places where scales can be folded."""

    model: nn.Module
    scaled: int
    places: int


class Place(NamedTuple):
    """Layers that read one tensor, and how that is divided by s [I] in what makes it."""

    layers: tuple[nn.Linear, ...]
    divide: Callable[[Tensor], None]


@torch.no_grad()
def awq(
    model: Any,
    requests: Sequence[Features],
    asked: Awq,
    arithmetic: Arithmetic,
    kept: Collection[str] = (),
    finer: Collection[str] = (),
) -> Scaled:
    """A copy of `model` that computes the same, with weights that lose less by rounding.

    Args:
        model: In evaluation mode, on the CPU, in fp32; left as it was.
        requests: Calibration texts, [1, S] each, without padding.
        asked: How.
        arithmetic: The backend's, by whose grids rounding is judged.
        kept: Layers that stay fp32.
        finer: Layers with the grid `arithmetic.finer`.

    Raises:
        MillisError: a model whose blocks are not known, or a layer that reads NaN or infinite values.
    """
    model = copy.deepcopy(model)
    names = {layer: name for name, layer in model.named_modules() if isinstance(layer, nn.Linear)}
    places = {names[place.layers[0]]: place for place in _places(model)}
    layers = {names[layer]: layer for place in places.values() for layer in place.layers}
    groups = readers(model, layers)
    replay, scaled = Replay(model, by_length(requests), groups), 0
    for group in groups:
        place = places[next(iter(group.layers))]
        grids = {layer: arithmetic.stored(name in finer) for name, layer in group.layers.items() if name not in kept}
        if not grids:
            continue
        products = replay.products(group)
        check_finite(products, "quantization.awq", next(iter(group.layers)))
        s = best(grids, products, asked.steps)
        if bool((s != 1).any()):
            for layer in group.layers.values():
                layer.weight.mul_(s)
            place.divide(s)
            scaled += 1
    return Scaled(model, scaled, len(places))


def best(layers: Mapping[nn.Linear, Stored], products: Tensor, steps: int) -> Tensor:
    """s [I] of the α that errs least; 1 where no scaling does.

    Args:
        layers: That read one tensor, and their grids.
        products: Σ x xᵀ of it, [I, I], fp64.
        steps: Of the grid of α in [0, 1).
    """
    hessian = products.float()
    found, least = torch.ones(len(products)), float("inf")
    for step in range(steps):
        s = scales(products, step / steps)
        error = sum(_error(layer.weight.detach(), s, how, hessian) for layer, how in layers.items())
        if error < least:
            found, least = s, error
    return found


def scales(products: Tensor, alpha: float) -> Tensor:
    """s [I] = magnitude^α, over the root of its largest times its smallest, as the authors' code has it."""
    magnitude = products.diagonal().sqrt()
    if not float(magnitude.max()) > 0:
        return torch.ones(len(products))
    powers = magnitude.clamp(min=SMALLEST * float(magnitude.max())) ** alpha
    return (powers / (powers.max() * powers.min()).sqrt()).float()


def nearest(weight: Tensor, how: Stored) -> Tensor:
    """A weight [O, I] on its grid."""
    scale, zero_point = grid(weight, how, torch.ones(weight.shape[1]))
    rounded = centred(how.grouping.split(weight), scale, zero_point, how.grid) * scale
    return how.grouping.join(rounded, weight.shape)


def _error(weight: Tensor, s: Tensor, how: Stored, hessian: Tensor) -> float:
    """‖(Q(W s) / s - W) X‖² = tr(D (X Xᵀ) Dᵀ)."""
    difference = nearest(weight * s, how) / s - weight
    return float((difference @ hessian * difference).sum())


def _places(model: Any) -> Iterator[Place]:
    spec = known(model.spec) if hasattr(model, "spec") else None
    if spec is None or spec.kind not in anatomy.supported():
        raise MillisError(
            "quantization.awq folds scales into the parts before a transformer's linear layers, and the parts of this "
            "model are not known: expected a transformer (BERT, GPT-2, Llama and kin). Choose quantization=gptq"
        )
    parts = anatomy.find(spec.kind)
    for layer in parts.layers(model.encoder):
        for place in _in_block(layer, parts.final_norm(model.encoder) is not None):
            if all(type(one) is nn.Linear and one.out_features for one in place.layers):
                yield place


def _in_block(layer: Layer, pre_norm: bool) -> Iterator[Place]:
    if pre_norm:
        yield Place((layer.query, layer.key, layer.value), _dividing(layer.attention_norm))
    if type(layer.value) is nn.Linear and layer.value.out_features == layer.attention_output.in_features:
        yield Place((layer.attention_output,), _dividing(layer.value))
    gate = () if layer.ffn_gate is None else (layer.ffn_gate,)
    if pre_norm:
        yield Place((*gate, layer.ffn_in), _dividing(layer.ffn_norm))
    if gate and type(layer.ffn_in) is nn.Linear:  # else an activation comes between
        yield Place((layer.ffn_out,), _dividing(layer.ffn_in))


def _dividing(part: Any) -> Callable[[Tensor], None]:
    """How the outputs of a norm or of a linear layer are divided."""

    def divide(s: Tensor) -> None:
        part.weight.div_(s if part.weight.dim() == 1 else s[:, None])
        if getattr(part, "bias", None) is not None:
            part.bias.div_(s)

    return divide
