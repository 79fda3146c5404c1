"""Selection: which layers, channels, heads and neurons of a transformer are kept; copying them into a smaller one."""

from dataclasses import dataclass

import torch
from torch import Tensor

from millis.models import anatomy
from millis.models.transformer import Transformer


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


@torch.no_grad()
def copy_selected(small: Transformer, large: Transformer, keep: Selection) -> None:
    """Copy the kept weights of `large`, classifier included, into `small`, whose spec has the sizes of `keep`.

    Weights are copied as they are. A layer norm over fewer channels takes its mean and variance from those that are
    left, so nothing is rescaled; with everything kept the two models compute the same logits to the last bit.
    """
    parts = anatomy.find(large.spec["encoder"]["model_type"])
    _copy_embeddings(parts.embeddings(small.encoder), parts.embeddings(large.encoder), keep.hidden)
    sources = parts.layers(large.encoder)
    head_size = large.spec["shape"]["head_size"]
    for target, index, heads, ffn in zip(parts.layers(small.encoder), keep.layers, keep.heads, keep.ffn, strict=True):
        source, rows = sources[index], anatomy.head_rows(heads, head_size)
        anatomy.copy_linear(target.query, source.query, rows, keep.hidden)
        anatomy.copy_linear(target.key, source.key, rows, keep.hidden)
        anatomy.copy_linear(target.value, source.value, rows, keep.hidden)
        anatomy.copy_linear(target.attention_output, source.attention_output, keep.hidden, rows)
        anatomy.copy_norm(target.attention_norm, source.attention_norm, keep.hidden)
        anatomy.copy_linear(target.ffn_in, source.ffn_in, ffn, keep.hidden)
        anatomy.copy_linear(target.ffn_out, source.ffn_out, keep.hidden, ffn)
        anatomy.copy_norm(target.ffn_norm, source.ffn_norm, keep.hidden)
    anatomy.copy_linear(small.head, large.head, columns=keep.hidden)


def _copy_embeddings(small: anatomy.Embeddings, large: anatomy.Embeddings, hidden: Tensor) -> None:
    channels = hidden if large.projection is None else torch.arange(large.norm.weight.numel())
    for target, source in zip(small.tables, large.tables, strict=True):
        target.weight.copy_(source.weight[:, channels])
    anatomy.copy_norm(small.norm, large.norm, channels)
    if small.projection is not None and large.projection is not None:
        anatomy.copy_linear(small.projection, large.projection, rows=hidden)
