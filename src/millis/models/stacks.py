"""Stacks: where the parts of an encoder and of a decoder sit in each encoder-decoder of transformers.

What cuts such a model, and what writes it for a runtime, speaks of layers, heads and neurons and finds them here. An
architecture is one small class with the members of `Stacks`, added to `STACKS`. Heads are freed from the hidden size as
in `millis.models.anatomy`.
"""

from typing import Any, NamedTuple, Protocol

import torch
from torch import nn

from millis.models import anatomy
from millis.models.encoder_decoder_spec import EncoderDecoderSpec
from millis.models.parts import Cross, Layer, Norm, described
from millis.models.spec import Shape


class Stack(NamedTuple):
    """The parts of an encoder, or of a decoder.

    Args:
        module: Of transformers: token ids to states.
        blocks: Of `module`, first to last.
        layers: Their parts; those of a decoder have a `cross`.
        scale: By which token vectors are multiplied.
        positions: Vectors of positions, from row `offset` on, which are added to token vectors; None where positions
            are told by distance.
        first: Norm of the first block's input.
        last: Norm of the last block's output; where there is one, blocks are pre-norm.
        distances: [buckets, H] (Raffel et al. 2020, 1910.10683, section 2.1): what is added to the scores of each head,
            in all layers.
    """

    module: Any
    blocks: list[nn.Module]
    layers: list[Layer]
    scale: float = 1.0
    positions: nn.Embedding | None = None
    offset: int = 0
    first: Norm | None = None
    last: Norm | None = None
    distances: nn.Embedding | None = None


class Stacks(Protocol):
    """One architecture, or several that share their parts' names."""

    @property
    def model_types(self) -> tuple[str, ...]:
        """The `model_type`s of transformers that it describes."""
        ...

    def shapes(self, config: dict[str, Any]) -> tuple[Shape, Shape]:
        """Of an uncut model's encoder and decoder."""
        ...

    def with_layers(self, config: dict[str, Any], encoder: int, decoder: int) -> dict[str, Any]:
        """`config` with so many layers."""
        ...

    def find(self, model: Any) -> tuple[Stack, Stack]:
        """Encoder and decoder of transformers' model."""
        ...

    def set_heads(self, attention: Any, heads: int, head_size: int) -> None:
        """Tell an attention module, whose projections have changed, of its heads."""
        ...

    def output_scale(self, config: dict[str, Any]) -> float:
        """By which the decoder's states are multiplied before the matrix that says which token comes next."""
        ...

    def max_length(self, config: dict[str, Any]) -> int:
        """Most tokens of either text."""
        ...


class T5:
    """T5 (Raffel et al. 2020, 1910.10683): pre-norm blocks by root mean square (1910.07467), positions by distance,
    scores that are not scaled; since 1.1 a gated feed-forward (2002.05202)."""

    model_types: tuple[str, ...] = ("t5",)

    def shapes(self, config: dict[str, Any]) -> tuple[Shape, Shape]:
        layers, size = int(config["num_layers"]), int(config["d_kv"])
        counts = (layers, int(config.get("num_decoder_layers") or layers))
        heads, ffn = int(config["num_heads"]), int(config["d_ff"])
        encoder, decoder = (Shape(size, (heads,) * count, (ffn,) * count) for count in counts)
        return encoder, decoder

    def with_layers(self, config: dict[str, Any], encoder: int, decoder: int) -> dict[str, Any]:
        return {**config, "num_layers": encoder, "num_decoder_layers": decoder}

    def find(self, model: Any) -> tuple[Stack, Stack]:
        encoder, decoder = (
            Stack(
                one,
                list(one.block),
                [_t5_layer(block) for block in one.block],
                last=one.final_layer_norm,
                distances=one.block[0].layer[0].SelfAttention.relative_attention_bias,
            )
            for one in (model.encoder, model.decoder)
        )
        return encoder, decoder

    def set_heads(self, attention: Any, heads: int, head_size: int) -> None:
        attention.n_heads, attention.inner_dim = heads, heads * head_size

    def output_scale(self, config: dict[str, Any]) -> float:
        return float(config["d_model"]) ** -0.5 if config.get("scale_decoder_outputs", True) else 1.0

    def max_length(self, config: dict[str, Any]) -> int:
        return int(config.get("n_positions") or LONGEST)


LONGEST = 1024  # tokens, of models whose positions are distances: what none of them was trained beyond


class Bart:
    """BART and Marian (Lewis et al. 2020, 1910.13461; Junczys-Dowmunt et al. 2018, 1804.00344): post-norm blocks as
    Vaswani et al. 2017 (1706.03762) have them, positions that are learned or sines."""

    model_types: tuple[str, ...] = ("bart", "marian")

    def shapes(self, config: dict[str, Any]) -> tuple[Shape, Shape]:
        encoder, decoder = (
            Shape(
                int(config["d_model"]) // int(config[f"{side}_attention_heads"]),
                (int(config[f"{side}_attention_heads"]),) * int(config[f"{side}_layers"]),
                (int(config[f"{side}_ffn_dim"]),) * int(config[f"{side}_layers"]),
            )
            for side in ("encoder", "decoder")
        )
        return encoder, decoder

    def with_layers(self, config: dict[str, Any], encoder: int, decoder: int) -> dict[str, Any]:
        return {**config, "encoder_layers": encoder, "decoder_layers": decoder}

    def find(self, model: Any) -> tuple[Stack, Stack]:
        encoder, decoder = (
            Stack(
                one,
                list(one.layers),
                [_bart_layer(block) for block in one.layers],
                scale=float(getattr(one, "embed_scale", getattr(one.embed_tokens, "embed_scale", 1.0))),
                positions=one.embed_positions,
                offset=getattr(one.embed_positions, "offset", 0),
                first=getattr(one, "layernorm_embedding", None),
            )
            for one in (model.encoder, model.decoder)
        )
        return encoder, decoder

    def set_heads(self, attention: Any, heads: int, head_size: int) -> None:
        attention.num_heads, attention.head_dim, attention.embed_dim = heads, head_size, heads * head_size

    def output_scale(self, config: dict[str, Any]) -> float:
        return 1.0

    def max_length(self, config: dict[str, Any]) -> int:
        return int(config["max_position_embeddings"])


STACKS: tuple[Stacks, ...] = (T5(), Bart())


UNKNOWN = (
    "millis does not know the parts of a {kind!r} encoder-decoder: expected one of {known}{near}. Choose a model of "
    "these, or describe the architecture in millis/models/stacks.py"
)


def find(model_type: str) -> Stacks:
    """The stacks of a `model_type`.

    Raises:
        MillisError: nobody has described that architecture here yet.
    """
    return described(STACKS, model_type, UNKNOWN)


def reshape(model: Any, spec: EncoderDecoderSpec, std: float) -> None:
    """Give every block of transformers' `model` the heads and neurons that `spec` states, in place.

    A matrix that changes size gets fresh weights, N(0, std²), and bias 0.
    """
    parts = find(spec.kind)
    for stack, shape in zip(parts.find(model), (spec.encoder, spec.decoder), strict=True):
        for layer, heads, ffn in zip(stack.layers, shape.heads, shape.ffn, strict=True):
            width, hidden = heads * shape.head_size, layer.ffn_out.out_features
            for linear in (layer.query, layer.key, layer.value):
                anatomy.resize(model, linear, width, hidden, std)
            anatomy.resize(model, layer.attention_output, hidden, width, std)
            parts.set_heads(layer.attention, heads, shape.head_size)
            for neurons in filter(None, (layer.ffn_in, layer.ffn_gate)):
                anatomy.resize(model, neurons, ffn, hidden, std)
            anatomy.resize(model, layer.ffn_out, hidden, ffn, std)
        if stack.distances is not None and stack.distances.embedding_dim != shape.heads[0]:
            stack.distances.embedding_dim = shape.heads[0]
            stack.distances.weight = nn.Parameter(
                torch.empty(stack.distances.num_embeddings, shape.heads[0]).normal_(std=std)
            )
    for layer, heads in zip(parts.find(model)[1].layers, spec.cross, strict=True):
        cross = layer.cross
        assert cross is not None, "a decoder's layers look at the encoder"
        width, hidden = heads * spec.decoder.head_size, layer.ffn_out.out_features
        for linear in (cross.query, cross.key, cross.value):
            anatomy.resize(model, linear, width, hidden, std)
        anatomy.resize(model, cross.output, hidden, width, std)
        parts.set_heads(cross.attention, heads, spec.decoder.head_size)


def _t5_layer(block: Any) -> Layer:
    attention, *cross, feed = block.layer
    own, dense = attention.SelfAttention, feed.DenseReluDense
    gated = hasattr(dense, "wi_0")
    return Layer(
        attention=own,
        query=own.q,
        key=own.k,
        value=own.v,
        attention_output=own.o,
        attention_norm=attention.layer_norm,
        ffn_in=dense.wi_1 if gated else dense.wi,
        ffn_out=dense.wo,
        ffn_norm=feed.layer_norm,
        ffn_gate=dense.wi_0 if gated else None,
        cross=_t5_cross(cross[0]) if cross else None,
    )


def _t5_cross(part: Any) -> Cross:
    attention = part.EncDecAttention
    return Cross(attention, attention.q, attention.k, attention.v, attention.o, part.layer_norm)


def _bart_layer(block: Any) -> Layer:
    own, other = block.self_attn, getattr(block, "encoder_attn", None)
    return Layer(
        attention=own,
        query=own.q_proj,
        key=own.k_proj,
        value=own.v_proj,
        attention_output=own.out_proj,
        attention_norm=block.self_attn_layer_norm,
        ffn_in=block.fc1,
        ffn_out=block.fc2,
        ffn_norm=block.final_layer_norm,
        cross=None
        if other is None
        else Cross(other, other.q_proj, other.k_proj, other.v_proj, other.out_proj, block.encoder_attn_layer_norm),
    )
