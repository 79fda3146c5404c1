"""Selection: which layers, channels, heads and neurons of a transformer are kept; copying them into a smaller one."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import Any, cast

import torch
from torch import Tensor

from millis.errors import MillisError
from millis.models import anatomy
from millis.models.encoder import Transformer
from millis.models.parts import Embeddings, Layer, Norm
from millis.models.spec import Shape
from millis.models.transformer_spec import TransformerSpec


@dataclass(frozen=True)
class Selection:
    """Indices into the larger model, ascending; L', D', H', F' are the smaller model's sizes.

    Args:
        layers: Layer of the larger model for each layer of the smaller, [L'].
        hidden: Kept hidden channels, [D'].
        heads: Kept heads of each kept layer, L' tensors [H'].
        ffn: Kept feed-forward neurons of each kept layer, L' tensors [F'].
    """

    layers: list[int]
    hidden: Tensor
    heads: list[Tensor]
    ffn: list[Tensor]


def whole(spec: TransformerSpec) -> Selection:
    """The selection that keeps everything of a model of `spec`."""
    return Selection(
        layers=list(range(spec.layers)),
        hidden=torch.arange(anatomy.hidden_size(spec)),
        heads=[torch.arange(heads) for heads in spec.known_shape.heads],
        ffn=[torch.arange(neurons) for neurons in spec.known_shape.ffn],
    )


def resized(spec: TransformerSpec, shape: Shape, hidden: int) -> TransformerSpec:
    """`spec` with the layers of `shape` and another hidden size.

    Raises:
        MillisError: hidden channels of an architecture that cannot lose any.
    """
    parts = anatomy.find(spec.kind)
    encoder = {**spec.encoder, parts.keys.layers: len(shape.heads)}
    if hidden != encoder[parts.keys.hidden]:
        encoder = parts.with_hidden(encoder, hidden)
    return replace(spec, encoder=encoder, shape=shape)


def selected_spec(spec: TransformerSpec, keep: Selection) -> TransformerSpec:
    """The architecture that `keep` leaves of the one of `spec`.

    Raises:
        MillisError: indices that are not ascending or name parts that are not there; no layer or no hidden channel
            left; hidden channels of an architecture that cannot lose any.
    """
    shape = spec.known_shape
    _check("layers", keep.layers, spec.layers, at_least=1)
    _check("hidden", keep.hidden.tolist(), anatomy.hidden_size(spec), at_least=1)
    for name, chosen, sizes in (("heads", keep.heads, shape.heads), ("ffn", keep.ffn, shape.ffn)):
        if len(chosen) != len(keep.layers):
            raise MillisError(
                f"a selection keeps {len(keep.layers)} layers but has {name} for {len(chosen)}: give each kept layer "
                "its own"
            )
        for layer, indices in zip(keep.layers, chosen, strict=True):
            _check(f"{name} of layer {layer}", indices.tolist(), sizes[layer], at_least=0)
    kept = Shape(shape.head_size, tuple(map(len, keep.heads)), tuple(map(len, keep.ffn)))
    return resized(spec, kept, len(keep.hidden))


@torch.no_grad()
def copy_selected(small: Transformer, large: Transformer, keep: Selection) -> None:
    """Copy the kept weights of `large`, classifier included, into `small`, whose spec has the sizes of `keep`.

    Weights are copied as they are. A layer norm over fewer channels takes its mean and variance from those that are
    left, so nothing is rescaled; with everything kept the two models compute the same logits to the last bit.
    """
    parts = anatomy.find(large.spec.kind)
    _copy_embeddings(parts.embeddings(small.encoder), parts.embeddings(large.encoder), keep.hidden)
    sources = parts.layers(large.encoder)
    head_size, groups = large.spec.known_shape.head_size, parts.groups(large.spec.encoder)
    for target, index, heads, ffn in zip(parts.layers(small.encoder), keep.layers, keep.heads, keep.ffn, strict=True):
        source, rows = sources[index], anatomy.head_rows(heads, head_size)
        shared = anatomy.head_rows(shared_heads(heads, groups), head_size)
        copy_layer(target, source, rows, shared, ffn, keep.hidden)
        if (ratio := _scaling(source) / _scaling(target)) != 1:  # of a GPT-2 that scales by depth: the layer has moved
            target.query.weight.mul_(ratio)
            target.query.bias.mul_(ratio)
    _copy_norm(parts.final_norm(small.encoder), parts.final_norm(large.encoder), keep.hidden)
    if large.spec.pooler is not None:
        anatomy.copy_linear(cast(Any, small.pool).dense, cast(Any, large.pool).dense, keep.hidden, keep.hidden)
    for classifier, larger in zip(small.classifiers(), large.classifiers(), strict=True):
        anatomy.copy_linear(classifier, larger, columns=keep.hidden)
    for threshold, found in zip(small.between.thresholds, large.between.thresholds, strict=True):
        threshold.copy_(found)


@torch.no_grad()
def copy_layer(target: Layer, source: Layer, rows: Tensor, shared: Tensor, ffn: Tensor, hidden: Tensor) -> None:
    """Copy the kept weights of a block into a smaller one; what looks at an encoder is not copied.

    Args:
        rows: Of queries, which columns of the attention's output belong to.
        shared: Of keys and values.
        ffn: Kept neurons.
        hidden: Kept channels.
    """
    anatomy.copy_linear(target.query, source.query, rows, hidden)
    anatomy.copy_linear(target.key, source.key, shared, hidden)
    anatomy.copy_linear(target.value, source.value, shared, hidden)
    anatomy.copy_linear(target.attention_output, source.attention_output, hidden, rows)
    anatomy.copy_norm(target.attention_norm, source.attention_norm, hidden)
    anatomy.copy_linear(target.ffn_in, source.ffn_in, ffn, hidden)
    if target.ffn_gate is not None and source.ffn_gate is not None:
        anatomy.copy_linear(target.ffn_gate, source.ffn_gate, ffn, hidden)
    anatomy.copy_linear(target.ffn_out, source.ffn_out, hidden, ffn)
    anatomy.copy_norm(target.ffn_norm, source.ffn_norm, hidden)


def shared_heads(heads: Tensor, groups: int) -> Tensor:
    """The heads of keys and values that query heads [H'] read, [H' / G].

    Raises:
        MillisError: query heads that read a key and value are not kept together.
    """
    found = heads[::groups] // groups
    whole = (found[:, None] * groups + torch.arange(groups, device=heads.device)).flatten()
    if not torch.equal(whole, heads):
        raise MillisError(
            f"a selection keeps heads {heads.tolist()}, and {groups} heads each share a key and a value (0 to "
            f"{groups - 1}, ...): keep all of them or none"
        )
    return found


def _copy_embeddings(small: Embeddings, large: Embeddings, hidden: Tensor) -> None:
    channels = hidden if large.projection is None else torch.arange(large.tables[0].embedding_dim)
    for target, source in zip(small.tables, large.tables, strict=True):
        target.weight.copy_(source.weight[:, channels])
    _copy_norm(small.norm, large.norm, channels)
    if small.projection is not None and large.projection is not None:
        anatomy.copy_linear(small.projection, large.projection, rows=hidden)


def _copy_norm(small: Norm | None, large: Norm | None, channels: Tensor) -> None:
    if small is not None and large is not None:
        anatomy.copy_norm(small, large, channels)


def _scaling(layer: Layer) -> float:
    return float(cast(Any, layer.attention).scaling)


def _check(name: str, indices: Sequence[int], whole: int, at_least: int) -> None:
    ascending = all(low < high for low, high in pairwise(indices))
    if len(indices) < at_least or not ascending or (indices and not 0 <= indices[0] <= indices[-1] < whole):
        shown = list(indices) if len(indices) <= 8 else [*indices[:4], "...", *indices[-3:]]
        raise MillisError(
            f"a selection keeps {name} {shown}; expected {'at least one of ' if at_least else ''}0 to {whole - 1}, "
            "each once, in ascending order"
        )
