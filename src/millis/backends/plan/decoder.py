"""Decoders as steps: pre-norm blocks whose tokens look back, as Llama's (Touvron et al. 2023, 2302.13971)."""

from typing import Any

from torch import nn

from millis.backends.plan import steps
from millis.backends.plan.builder import Builder, floats
from millis.backends.plan.encoder import ACTIVATIONS
from millis.backends.plan.refused import refusal

KINDS = ("llama", "mistral", "qwen2")  # of transformers: the same parts; Mistral's without windows
BY_LENGTH = ("dynamic", "longrope")  # ways to turn heads that depend on how long the text is


def build(encoder: Any, head: nn.Linear, builder: Builder) -> None:
    """Add the steps of a whole model, whose one output is what comes next after each token.

    Args:
        encoder: A `LlamaModel` or one of the same parts, whose layers may have heads and neurons of any number.
        head: The output matrix [V, D]; tied to the token table or not.

    Raises:
        MillisError: an architecture that has no steps here, and why.
    """
    _check(encoder.config)
    hidden = encoder.config.hidden_size
    stream, added = builder.slot("token", hidden), None
    matrix = builder.matrix_of(head) if builder.shares(encoder.embed_tokens, head) else None
    words = None if matrix is not None else builder.table(encoder.embed_tokens)
    builder.add(steps.Embed(stream, hidden, words=words, matrix=matrix))
    frequencies = _frequencies(encoder.rotary_emb, builder)
    scaling = float(encoder.rotary_emb.attention_scaling) ** 2  # of queries and of keys
    for layer in encoder.layers:
        added = _attended(layer, scaling, frequencies, stream, added, builder)
        added = _fed(layer, stream, added, builder)
    last = _normed(encoder.norm, stream, added, builder)
    logits = builder.slot("token", head.out_features)
    builder.add(steps.Linear(last, logits, matrix or builder.matrix_of(head)))
    builder.give(logits, 0)


def _check(config: Any) -> None:
    if config.model_type not in KINDS:
        raise refusal(f"a {config.model_type!r} decoder (of {', '.join(KINDS)} it can)")
    windows = "sliding_attention" in (getattr(config, "layer_types", None) or ())
    if windows or (config.model_type == "mistral" and config.sliding_window is not None):
        raise refusal(f"a {config.model_type!r} decoder whose tokens look back through a window")
    if (kind := config.rope_parameters["rope_type"]) in BY_LENGTH:
        raise refusal(f"a decoder that turns heads by the length of the text (rope_type {kind!r})")
    if config.hidden_act not in ACTIVATIONS:
        raise refusal(f"the activation {config.hidden_act!r} (of {', '.join(ACTIVATIONS)} it can)")


def _frequencies(rotary: Any, builder: Builder) -> int:
    return builder.tensor("frequencies", floats(rotary.inv_freq))


def _normed(norm: Any, stream: int, added: int | None, builder: Builder) -> int:
    """The stream, with what the sublayer before left, normed."""
    (hidden,) = norm.weight.shape
    out, name = builder.slot("token", hidden), builder.name(norm)
    gain = steps.Norm(builder.row(f"{name}.weight", norm.weight), None, norm.variance_epsilon)
    builder.add(steps.PreNorm(stream, out, hidden, gain, source=added))
    return out


def _attended(
    layer: Any, scaling: float, frequencies: int, stream: int, added: int | None, builder: Builder
) -> int | None:
    """What the attention of a block adds to the stream; without heads what was to be added before."""
    attention = layer.self_attn
    size, width = attention.head_dim, attention.q_proj.out_features
    if width == 0:
        return added
    heads, groups = width // size, attention.k_proj.out_features // size
    normed = _normed(layer.input_layernorm, stream, added, builder)
    projected, context = builder.slot("token", (heads + 2 * groups) * size), builder.slot("token", width)
    builder.linear([attention.q_proj, attention.k_proj, attention.v_proj], normed, projected)
    scale = float(attention.scaling) * scaling
    builder.add(steps.Causal(projected, context, heads, groups, size, scale, frequencies))
    given = builder.slot("token", attention.o_proj.out_features)
    builder.linear([attention.o_proj], context, given)
    return given


def _fed(layer: Any, stream: int, added: int | None, builder: Builder) -> int | None:
    """What the feed-forward part of a block adds to the stream; without neurons what was to be added before."""
    parts = layer.mlp
    width = parts.down_proj.in_features
    if width == 0:
        return added
    normed = _normed(layer.post_attention_layernorm, stream, added, builder)
    both, inner = builder.slot("token", 2 * width), builder.slot("token", width)
    builder.linear([parts.gate_proj, parts.up_proj], normed, both)
    builder.add(steps.Gate(both, inner, width, ACTIVATIONS[parts.config.hidden_act]))
    given = builder.slot("token", parts.down_proj.out_features)
    builder.linear([parts.down_proj], inner, given)
    return given
