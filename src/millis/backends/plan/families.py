"""What each family of models is made of, as steps. A family is a function, found by the model's class."""

from functools import singledispatch
from typing import Any, Literal, get_args

from torch import nn

from millis.backends.plan import steps
from millis.backends.plan.builder import Builder
from millis.backends.plan.steps import Activation, Per, Pooling
from millis.errors import MillisError
from millis.models import anatomy, heads, pooling
from millis.models.anatomy import Layer
from millis.models.bilstm import BiLstm
from millis.models.convolution import Convolution
from millis.models.encoder import Transformer
from millis.models.exits import Exiting
from millis.models.low_rank import LowRankEmbedding
from millis.models.static import Static
from millis.models.token_pruning import TokenPruned

INSTEAD = "Use backend=onnxruntime, or backend=eager"
# What transformers calls them; `gelu_fast` is the same formula as `gelu_new`.
ACTIVATIONS: dict[str, Activation] = {
    "gelu": "gelu", "gelu_new": "gelu_tanh", "gelu_pytorch_tanh": "gelu_tanh", "gelu_fast": "gelu_tanh",
    "relu": "relu", "silu": "silu", "swish": "silu", "tanh": "tanh",
}  # fmt: skip


@singledispatch
def build(model: Any, builder: Builder) -> None:
    """Add the steps of `model` to `builder`.

    Raises:
        MillisError: a model that has no steps here, and why.
    """
    raise refusal(f"a model of class {type(model).__name__}")


def refusal(what: str) -> MillisError:
    """A model that cannot be run."""
    return MillisError(
        f"backend=native cannot run {what}: expected a transformer with post-norm blocks, static, convolution or "
        f"bilstm. {INSTEAD}"
    )


@build.register
def _(model: Exiting, builder: Builder) -> None:
    raise refusal("a model with early exits")


@build.register
def _(model: TokenPruned, builder: Builder) -> None:
    raise refusal("a model that drops tokens")


@build.register
def _(model: Transformer, builder: Builder) -> None:
    config, encoder = model.encoder.config, model.encoder
    if "shape" not in model.spec:
        raise refusal(f"a {config.model_type!r} encoder")
    parts = anatomy.find(config.model_type)
    if parts.final_norm(encoder) is not None:
        raise refusal(f"a {config.model_type!r} encoder, whose norms precede its sublayers")
    activation = _activation(config)
    states = _embedded(model, parts, builder)
    for layer in parts.layers(encoder):
        states = _attended(layer, model.spec["shape"]["head_size"], states, builder)
        states = _fed(layer, activation, states, builder)
    _answered(model, states, builder, _pooled(model, builder))


def _activation(config: Any) -> Activation:
    name = getattr(config, "hidden_act", getattr(config, "activation", None))
    if name not in ACTIVATIONS:
        raise refusal(f"the activation {name!r} (of {', '.join(ACTIVATIONS)} it can)")
    return ACTIVATIONS[name]


def _embedded(model: Transformer, parts: anatomy.Anatomy, builder: Builder) -> int:
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
            positions=_position_table(positions, builder),
            types=builder.table(types[0]) if types else None,
            norm=None if found.norm is None else builder.norm(found.norm),
            padding=config.pad_token_id if isinstance(parts, anatomy.Roberta) else None,
            reads_types=model.takes_token_types,
        )
    )
    if found.projection is None:
        return states
    wide = builder.slot("token", found.projection.out_features)
    builder.linear([found.projection], states, wide)
    return wide


def _position_table(positions: Any, builder: Builder) -> steps.Table:
    if isinstance(positions, LowRankEmbedding):
        raise refusal("a position table of low rank")
    return builder.table(positions)


def _attended(layer: Layer, size: int, states: int, builder: Builder) -> int:
    """The first half of a block: attention, residual sum, norm."""
    hidden, width = layer.attention_norm.normalized_shape[0], layer.query.out_features
    out = builder.slot("token", hidden)
    norm = builder.norm(layer.attention_norm)
    if width == 0:
        builder.add(steps.AddNorm(states, out, hidden, norm, bias=_constant(layer.attention_output, builder)))
        return out
    scaling: Any = layer.attention.scaling
    projected, context, added = (builder.slot("token", count) for count in (3 * width, width, hidden))
    builder.linear([layer.query, layer.key, layer.value], states, projected)
    builder.add(steps.Attention(projected, context, width // size, size, float(scaling)))
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


def _pooled(model: Transformer, builder: Builder) -> Any:
    """Token states to the text's vector, as `millis.models.pooling`."""

    def pooled(states: int, width: int) -> int:
        pool: Any = model.pool
        dense = pool if isinstance(pool, pooling.Pooler) else None
        kind: Pooling = "mean" if (pool if dense is None else dense.of) is pooling.mean else "first"
        out = builder.slot("text", width)
        builder.add(steps.Pool(states, out, width, kind))
        if dense is None:
            return out
        activated = builder.slot("text", width)
        builder.linear([dense.dense], out, activated, _named(dense))
        return activated

    return pooled


def _named(dense: pooling.Pooler) -> Activation:
    (name,) = [name for name, function in pooling.ACTIVATIONS.items() if function is dense.activation]
    assert name in get_args(Activation)
    return name  # type: ignore[return-value]


def _answered(model: Any, states: int, builder: Builder, pool: Any) -> None:
    """The heads, over the text's vector or its tokens' states."""
    found = heads.classifiers(model.head)
    pers: list[Per] = model.head.per if isinstance(model.head, heads.Heads) else ["text"]
    width = found[0].in_features
    vector = pool(states, width) if "text" in pers else states
    for number, (head, per) in enumerate(zip(found, pers, strict=True)):
        logits = builder.slot(per, head.out_features)
        builder.linear([head], vector if per == "text" else states, logits)
        builder.give(logits, number)


@build.register
def _(model: Static, builder: Builder) -> None:
    pooled = builder.slot("text", model.spec["size"])
    weights = builder.tensor("weights", model.log_weights.weight.detach().exp().reshape(-1).numpy())
    norm: Literal["l2", "mean"] = "l2" if model.spec.get("norm") == "l2" else "mean"
    builder.add(steps.Bag(pooled, builder.table(model.vectors), weights, norm))
    _answered(model, pooled, builder, lambda vector, width: vector)


@build.register
def _(model: Convolution, builder: Builder) -> None:
    spec = model.spec
    size, filters = spec["embedding_size"], spec["filters"]
    vectors = builder.slot("token", size)
    builder.add(steps.Embed(vectors, size, words=builder.table(model.embedding)))
    states = builder.slot("token", filters * len(spec["widths"]))
    for place, (window, width) in enumerate(zip(model.windows, spec["widths"], strict=True)):
        assert isinstance(window, nn.Conv1d)
        seen = vectors
        if width > 1:
            seen = builder.slot("token", width * size)
            builder.add(steps.Unfold(vectors, seen, size, width))
        weight = window.weight.permute(0, 2, 1).reshape(filters, width * size)  # [F, E, W] → windows of whole rows
        matrix = builder.matrix(builder.name(window), weight, window.bias, builder.rounds(window))
        builder.add(steps.Linear(seen, states, matrix, "relu", place * filters))
    _answered(model, states, builder, _maximum(builder, floor=0.0))


@build.register
def _(model: BiLstm, builder: Builder) -> None:
    size, hidden = model.spec["embedding_size"], model.spec["hidden_size"]
    vectors, gates = builder.slot("token", size), builder.slot("token", 4 * hidden)
    builder.add(steps.Embed(vectors, size, words=builder.table(model.embedding)))
    states = builder.slot("token", 2 * hidden)
    directions: list[Any] = [model.forwards, model.backwards]
    for column, lstm in zip((0, hidden), directions, strict=True):
        name = builder.name(lstm)
        inputs = builder.matrix(
            f"{name}.inputs", lstm.weight_ih_l0, lstm.bias_ih_l0 + lstm.bias_hh_l0, builder.rounds(lstm)
        )
        builder.add(steps.Linear(vectors, gates, inputs))
        recurrent = builder.matrix(f"{name}.state", lstm.weight_hh_l0, None, builder.rounds(lstm))
        builder.add(steps.Lstm(gates, states, hidden, recurrent, backwards=column > 0, column=column))
    _answered(model, states, builder, _maximum(builder, floor=-1.0))


def _maximum(builder: Builder, floor: float) -> Any:
    def pooled(states: int, width: int) -> int:
        out = builder.slot("text", width)
        builder.add(steps.Pool(states, out, width, "maximum", floor))
        return out

    return pooled
