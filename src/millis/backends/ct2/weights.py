"""An encoder-decoder as CTranslate2 has it: its specification, filled from the parts of the module.

Tokens are called by their ids, so that no tokenizer is needed and none of its special tokens can be missing. The
decoder begins with a token as the module does, not with a vector of zeros as CTranslate2's own converter has it for
Marian, so that no row of the table is taken away.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch

from millis.errors import MillisError
from millis.models import stacks
from millis.models.encoder_decoder import EncoderDecoder
from millis.models.parts import Layer
from millis.models.spec import Shape
from millis.models.stacks import Stack

ACTIVATIONS = {"relu": 0, "gelu_new": 1, "swish": 2, "silu": 2, "gelu": 3, "tanh": 5}  # of CTranslate2's enum


def specification(model: EncoderDecoder) -> Any:
    """CTranslate2's `TransformerSpec` of `model`, in fp32.

    Raises:
        MillisError: layers with different numbers of heads, or an activation that it does not compute.
    """
    from ctranslate2.specs.transformer_spec import TransformerDecoderSpec, TransformerEncoderSpec, TransformerSpec

    spec = model.spec
    encoder, decoder = stacks.find(spec.kind).find(model.encoder)
    read, written = _heads(spec.encoder.heads), _heads((*spec.decoder.heads, *spec.cross))
    sides = (
        TransformerEncoderSpec(len(encoder.layers), read, **_form(encoder, spec.encoder)),
        TransformerDecoderSpec(len(decoder.layers), written, **_form(decoder, spec.decoder)),
    )
    for made, stack in zip(sides, (encoder, decoder), strict=True):
        _fill(made, stack)
    (head,) = model.classifiers()
    _linear(sides[1].projection, [head])
    if model.scale != 1.0:
        sides[1].scale_outputs = model.scale
    whole = TransformerSpec(*sides)
    _name_tokens(whole, spec)
    whole.config.layer_norm_epsilon = _epsilon(encoder.layers[0].ffn_norm)
    return whole


def _name_tokens(whole: Any, spec: Any) -> None:
    tokens = [str(token) for token in range(spec.outputs[0].width)]
    whole.register_source_vocabulary(tokens)
    whole.register_target_vocabulary(tokens)
    config = whole.config
    config.bos_token = config.decoder_start_token = str(spec.starts[0])
    config.eos_token = config.unk_token = str(spec.ends[0])
    config.add_source_bos = config.add_source_eos = False


def _form(stack: Stack, shape: Shape) -> dict[str, Any]:
    config = stack.module.config
    name = getattr(config, "activation_function", None) or config.dense_act_fn
    if name not in ACTIVATIONS:
        raise MillisError(
            f"backend=ctranslate2 cannot run the activation {name!r}: expected one of {', '.join(ACTIVATIONS)}. Use "
            "backend=onnxruntime or backend=eager"
        )
    return {
        "pre_norm": stack.last is not None,
        "activation": ACTIVATIONS[name],
        "layernorm_embedding": stack.first is not None,
        "relative_attention_bias": stack.distances is not None,
        "ffn_glu": stack.layers[0].ffn_gate is not None,
        "rms_norm": getattr(stack.layers[0].ffn_norm, "bias", None) is None,
        "head_dim": shape.head_size,
    }


def _heads(counts: Sequence[int]) -> int:
    if len(found := sorted(set(counts))) != 1:
        raise MillisError(
            f"backend=ctranslate2 cannot run layers of {found} heads: expected one number for all of a side. Use "
            "backend=onnxruntime or backend=eager"
        )
    return found[0]


def _fill(made: Any, stack: Stack) -> None:
    """Give a side of the specification its weights."""
    embeddings = made.embeddings[0] if isinstance(made.embeddings, list) else made.embeddings
    embeddings.weight = _array(stack.module.embed_tokens.weight)
    made.scale_embeddings = stack.scale if stack.scale != 1.0 else False
    if stack.positions is not None:
        made.position_encodings.encodings = _array(stack.positions.weight)[stack.offset :]
    if stack.first is not None:
        _norm(made.layernorm_embedding, stack.first)
    if stack.last is not None:
        _norm(made.layer_norm, stack.last)
    for place, layer in zip(made.layer, stack.layers, strict=True):
        _attention(place, layer, stack)
        feed = place.ffn
        _linear(feed.linear_0, [layer.ffn_in if layer.ffn_gate is None else layer.ffn_gate])
        if layer.ffn_gate is not None:
            _linear(feed.linear_0_noact, [layer.ffn_in])
        _linear(feed.linear_1, [layer.ffn_out])
        _norm(feed.layer_norm, layer.ffn_norm)


def _attention(place: Any, layer: Layer, stack: Stack) -> None:
    own, cross = place.self_attention, layer.cross
    own.queries_scale = float(layer.attention.scaling)  # type: ignore[arg-type]
    _linear(own.linear[0], [layer.query, layer.key, layer.value])
    _linear(own.linear[1], [layer.attention_output])
    _norm(own.layer_norm, layer.attention_norm)
    if stack.distances is not None:
        own.relative_attention_bias = _array(stack.distances.weight)
        own.relative_attention_max_distance = np.int32(stack.module.config.relative_attention_max_distance)
    if cross is not None:
        other = place.attention
        other.queries_scale = float(cross.attention.scaling)  # type: ignore[arg-type]
        _linear(other.linear[0], [cross.query])
        _linear(other.linear[1], [cross.key, cross.value])
        _linear(other.linear[2], [cross.output])
        _norm(other.layer_norm, cross.norm)


def _linear(place: Any, layers: Sequence[Any]) -> None:
    """Put linears one under the other."""
    place.weight = _array(torch.cat([layer.weight for layer in layers]))
    if layers[0].bias is not None:
        place.bias = _array(torch.cat([layer.bias for layer in layers]))


def _norm(place: Any, norm: Any) -> None:
    place.gamma = _array(norm.weight)
    if getattr(norm, "bias", None) is not None:
        place.beta = _array(norm.bias)


def _epsilon(norm: Any) -> float:
    return float(getattr(norm, "eps", None) or norm.variance_epsilon)


def _array(tensor: torch.Tensor) -> Any:
    return tensor.detach().float().numpy().copy()  # the engine rounds in place
