"""Transformers with post-norm blocks as steps: whole, in the segments between exits, or dropping tokens on the way."""

from collections.abc import Iterable
from typing import Any

from torch import nn

from millis.backends.plan import answers, steps
from millis.backends.plan.builder import Builder
from millis.backends.plan.refused import refusal
from millis.backends.plan.steps import Activation
from millis.models import anatomy
from millis.models.encoder import Transformer
from millis.models.low_rank import LowRankEmbedding
from millis.models.parts import Anatomy, Layer
from millis.models.post_norm import Roberta

# What transformers calls them; `gelu_fast` is the same formula as `gelu_new`.
ACTIVATIONS: dict[str, Activation] = {
    "gelu": "gelu", "gelu_new": "gelu_tanh", "gelu_pytorch_tanh": "gelu_tanh", "gelu_fast": "gelu_tanh",
    "relu": "relu", "silu": "silu", "swish": "silu", "tanh": "tanh",
}  # fmt: skip


def build(model: Transformer, builder: Builder) -> None:
    """Add the steps of the whole model.

    Raises:
        MillisError: an architecture or an activation that has no steps here.
    """
    parts = _parts(model)
    states = _embedded(model, parts, builder)
    states = _through(model, range(model.spec.layers), states, builder)
    answers.answered(model, states, builder, answers.pooled(model, builder))


def build_segment(model: Transformer, span: range, builder: Builder) -> None:
    """Add the steps of one segment, whose outputs are logits and states; all but the first are given states.

    Raises:
        MillisError: as `build`.
    """
    parts = _parts(model)
    hidden = model.encoder.config.hidden_size
    if span.start == 0:
        states = _embedded(model, parts, builder)
    else:
        states = builder.slot("token", hidden)
        builder.add(steps.Take(states, hidden))
    states = _through(model, span, states, builder)
    classifier: Any = model.between.classifiers.get(span[-1], model.head)
    answers.classified([classifier], ["text"], states, builder, answers.pooled(model, builder))
    builder.give(states, 1)


def _parts(model: Transformer) -> Anatomy:
    kind = model.encoder.config.model_type
    if model.spec.shape is None:
        raise refusal(f"a {kind!r} encoder")
    return anatomy.find(kind)


def _through(model: Transformer, span: Iterable[int], states: int, builder: Builder) -> int:
    """The states after the layers of `span`."""
    layers, shape = _parts(model).layers(model.encoder), model.spec.shape
    activation, dropping = activation_of(model.encoder.config), model.spec.tokens
    assert shape is not None  # `_parts` refuses others
    for number in span:
        layer, drops = layers[number], number in dropping
        states = _attended(layer, shape.head_size, states, builder, keeps=drops)
        if drops:
            (logarithms,) = model.between.thresholds
            least = float(logarithms[dropping.index(number)].detach().exp())
            hidden = layer.attention_norm.normalized_shape[0]
            builder.add(steps.Drop(states, hidden, shape.heads[number], least))
        states = _fed(layer, activation, states, builder)
    return states


def activation_of(config: Any) -> Activation:
    """Of the feed-forward part.

    Raises:
        MillisError: one that has no kernel.
    """
    names = (getattr(config, key, None) for key in ("hidden_act", "activation", "activation_function"))
    name = next((name for name in names if isinstance(name, str)), None)
    if name not in ACTIVATIONS:
        raise refusal(f"the activation {name!r} (of {', '.join(ACTIVATIONS)} it can)")
    return ACTIVATIONS[name]


def _embedded(model: Transformer, parts: Anatomy, builder: Builder) -> int:
    """The first block's input."""
    found = parts.embeddings(model.encoder)
    words, positions, *types = found.tables
    width, base = positions.embedding_dim, None
    if isinstance(words, LowRankEmbedding):
        narrow, base = builder.slot("token", words.rank), builder.slot("token", width)
        builder.add(steps.Embed(narrow, words.rank, words=builder.table(words.table)))
        builder.linear([words.projection], narrow, base)
    states = builder.slot("token", width)
    config = model.encoder.config
    builder.add(
        steps.Embed(
            states,
            width,
            base=base,
            words=None if base is not None else builder.table(words),
            positions=position_table(positions, builder),
            types=builder.table(types[0]) if types else None,
            norm=None if found.norm is None else builder.norm(found.norm),
            padding=config.pad_token_id if isinstance(parts, Roberta) else None,
            reads_types=model.takes_token_types,
        )
    )
    if found.projection is None:
        return states
    wide = builder.slot("token", found.projection.out_features)
    builder.linear([found.projection], states, wide)
    return wide


def position_table(positions: Any, builder: Builder) -> steps.Table:
    """Of learned positions.

    Raises:
        MillisError: it is held as two matrices.
    """
    if isinstance(positions, LowRankEmbedding):
        raise refusal("a position table of low rank")
    return builder.table(positions)


def _attended(layer: Layer, size: int, states: int, builder: Builder, keeps: bool) -> int:
    """The first half of a block: attention, residual sum, norm; `keeps` for tokens that are dropped after it."""
    hidden, width = layer.attention_norm.normalized_shape[0], layer.query.out_features
    out = builder.slot("token", hidden)
    norm = builder.norm(layer.attention_norm)
    if width == 0:
        builder.add(steps.AddNorm(states, out, hidden, norm, bias=_constant(layer.attention_output, builder)))
        return out
    scaling: Any = layer.attention.scaling
    projected, context, added = (builder.slot("token", count) for count in (3 * width, width, hidden))
    builder.linear([layer.query, layer.key, layer.value], states, projected)
    builder.add(steps.Attention(projected, context, width // size, size, float(scaling), keeps))
    builder.linear([layer.attention_output], context, added)
    builder.add(steps.AddNorm(states, out, hidden, norm, source=added))
    return out


def _fed(layer: Layer, activation: Activation, states: int, builder: Builder) -> int:
    """The second half: feed-forward, residual sum, norm."""
    hidden, width = layer.ffn_norm.normalized_shape[0], layer.ffn_in.out_features
    out = builder.slot("token", hidden)
    norm = builder.norm(layer.ffn_norm)
    if width == 0:
        builder.add(steps.AddNorm(states, out, hidden, norm, bias=_constant(layer.ffn_out, builder)))
        return out
    inner, added = builder.slot("token", width), builder.slot("token", hidden)
    builder.linear([layer.ffn_in], states, inner, activation)
    builder.linear([layer.ffn_out], inner, added)
    builder.add(steps.AddNorm(states, out, hidden, norm, source=added))
    return out


def _constant(layer: nn.Linear, builder: Builder) -> int:
    """What a layer without inputs gives."""
    return builder.row(f"{builder.name(layer)}.bias", layer.bias)
