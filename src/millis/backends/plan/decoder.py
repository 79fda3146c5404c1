"""Transformers with pre-norm blocks whose tokens look back, as steps: Llama and kin (Touvron et al. 2023, 2302.13971),
GPT-2. Most say what comes next; they may give any other output as well.
"""

from typing import Any, NamedTuple

from torch import Tensor, nn

from millis.backends.plan import answers, steps
from millis.backends.plan.builder import Builder
from millis.backends.plan.encoder import activation_of, position_table
from millis.backends.plan.refused import refusal
from millis.backends.plan.steps import Activation
from millis.models import anatomy
from millis.models.encoder import Transformer
from millis.models.low_rank import LowRankEmbedding
from millis.models.outputs import writes
from millis.models.parts import Layer

BY_LENGTH = ("dynamic", "longrope")  # ways to turn heads that depend on how long the text is


class Left(NamedTuple):
    """What sublayers left to be added to the stream: a slot's rows, and a vector, where there are such."""

    rows: int | None = None
    vector: Tensor | None = None


def build(model: Transformer, builder: Builder) -> None:
    """Add the steps of the whole model.

    Raises:
        MillisError: an architecture that has no steps here, and why.
    """
    _check(model.encoder.config)
    parts, matrix = anatomy.find(model.spec.kind), None
    words, *positions = parts.embeddings(model.encoder).tables
    if isinstance(words, LowRankEmbedding):
        raise refusal("a decoder with a token table of low rank")
    if writes(model.spec.outputs) and builder.shares(words, model.classifiers()[0]):
        matrix = builder.matrix_of(model.classifiers()[0])
    stream = builder.slot("token", words.embedding_dim)
    builder.add(
        steps.Embed(
            stream,
            words.embedding_dim,
            words=None if matrix is not None else builder.table(words),
            positions=position_table(positions[0], builder) if positions else None,
            matrix=matrix,
        )
    )
    states = _through(model, stream, builder)
    if matrix is None:
        answers.answered(model, states, builder, answers.pooled(model, builder))
        return
    logits = builder.slot("token", matrix.outputs)
    builder.add(steps.Linear(states, logits, matrix))
    builder.give(logits, 0)


def _check(config: Any) -> None:
    kind = config.model_type
    windows = "sliding_attention" in (getattr(config, "layer_types", None) or ())
    if windows or (kind == "mistral" and config.sliding_window is not None):
        raise refusal(f"a {kind!r} decoder whose tokens look back through a window")
    turning = (getattr(config, "rope_parameters", None) or {}).get("rope_type")
    if turning in BY_LENGTH:
        raise refusal(f"a decoder that turns heads by the length of the text (rope_type {turning!r})")


def _through(model: Transformer, stream: int, builder: Builder) -> int:
    """The states after the last norm."""
    parts, encoder = anatomy.find(model.spec.kind), model.encoder
    activation, size = activation_of(encoder.config), model.spec.known_shape.head_size
    frequencies, scaling = None, 1.0
    if (rotary := getattr(encoder, "rotary_emb", None)) is not None:
        frequencies = builder.unpadded("frequencies", rotary.inv_freq)
        scaling = float(rotary.attention_scaling) ** 2  # of queries and of keys
    left = Left()
    for layer in parts.layers(encoder):
        if layer.query.out_features == 0:
            left = _and_vector(left, layer.attention_output)
        else:
            scale = scaling * float(layer.attention.scaling)  # type: ignore[arg-type]
            left = _attended(layer, size, scale, frequencies, stream, left, builder)
        if layer.ffn_in.out_features == 0:
            left = _and_vector(left, layer.ffn_out)
        else:
            left = _fed(layer, activation, stream, left, builder)
    return _normed(parts.final_norm(encoder), stream, left, builder)


def _and_vector(left: Left, layer: nn.Linear) -> Left:
    """With what a layer without inputs gives."""
    if layer.bias is None:
        return left
    return left._replace(vector=layer.bias if left.vector is None else left.vector + layer.bias)


def _normed(norm: Any, stream: int, left: Left, builder: Builder) -> int:
    """The stream, with what was left to be added, normed."""
    (hidden,) = norm.weight.shape
    out = builder.slot("token", hidden)
    bias = None if left.vector is None else builder.row(f"before {builder.name(norm)}", left.vector)
    builder.add(steps.PreNorm(stream, out, hidden, builder.norm(norm), source=left.rows, bias=bias))
    return out


def _attended(
    layer: Layer, size: int, scale: float, frequencies: int | None, stream: int, left: Left, builder: Builder
) -> Left:
    """What the attention of a block adds to the stream."""
    width, narrow = layer.query.out_features, layer.key.out_features
    normed = _normed(layer.attention_norm, stream, left, builder)
    projected, context = builder.slot("token", width + 2 * narrow), builder.slot("token", width)
    builder.linear([layer.query, layer.key, layer.value], normed, projected)
    heads, groups = width // size, narrow // size
    builder.add(steps.Causal(projected, context, heads, groups, size, scale, frequencies, builder.cache))
    given = builder.slot("token", layer.attention_output.out_features)
    builder.linear([layer.attention_output], context, given)
    return Left(given)


def _fed(layer: Layer, activation: Activation, stream: int, left: Left, builder: Builder) -> Left:
    """What the feed-forward part of a block adds to the stream."""
    width = layer.ffn_in.out_features
    normed = _normed(layer.ffn_norm, stream, left, builder)
    inner, given = builder.slot("token", width), builder.slot("token", layer.ffn_out.out_features)
    if layer.ffn_gate is None:
        builder.linear([layer.ffn_in], normed, inner, activation)
    else:
        both = builder.slot("token", 2 * width)
        builder.linear([layer.ffn_gate, layer.ffn_in], normed, both)
        builder.add(steps.Gate(both, inner, width, activation))
    builder.linear([layer.ffn_out], inner, given)
    return Left(given)
