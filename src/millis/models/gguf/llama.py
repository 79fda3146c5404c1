"""A Llama in a GGUF file, as transformers has it: config and weights.

Names of metadata: ggml's `docs/gguf.md`. Mistral and SmolLM lie in such files as `llama`, too.
"""

import re
from collections.abc import Iterator
from typing import Annotated, Any, NamedTuple

import msgspec
import numpy as np
import torch
from msgspec import field
from numpy.typing import NDArray
from torch import Tensor

from millis.errors import MillisError
from millis.models.gguf.file import GgufFile

ARCHITECTURE = "llama"
Size = Annotated[int, msgspec.Meta(ge=1, le=2**31)]
Positive = Annotated[float, msgspec.Meta(gt=0)]


class Llama(NamedTuple):
    """A language model, in fp32.

    Args:
        config: Of transformers' `LlamaConfig`, with its `model_type`; what is not said has its default.
        weights: Of transformers' `LlamaModel`.
        output: [V, D], what makes logits of states; None where the token table does.
    """

    config: dict[str, Any]
    weights: dict[str, Tensor]
    output: Tensor | None


class _Said(msgspec.Struct, kw_only=True, frozen=True):
    """What a file says of its Llama; defaults as in llama.cpp: H KV heads of D / H channels, none of them left out."""

    layers: Size = field(name="llama.block_count")
    hidden_size: Size = field(name="llama.embedding_length")
    heads: Size = field(name="llama.attention.head_count")
    ffn_size: Size = field(name="llama.feed_forward_length")
    max_length: Size = field(name="llama.context_length")
    epsilon: Positive = field(name="llama.attention.layer_norm_rms_epsilon")
    tokens: list[str] = field(name="tokenizer.ggml.tokens")
    kv_heads: Size | None = field(name="llama.attention.head_count_kv", default=None)
    head_size: Size | None = field(name="llama.attention.key_length", default=None)
    rotated: Size | None = field(name="llama.rope.dimension_count", default=None)
    theta: Positive = field(name="llama.rope.freq_base", default=10_000.0)
    scaling: str = field(name="llama.rope.scaling.type", default="none")


class _Part(NamedTuple):
    """A tensor: its name in the file and in `LlamaModel`, and the heads whose rows lie in llama.cpp's order."""

    stored: str
    name: str
    shape: tuple[int, ...]
    heads: int | None = None


_OUTPUT = "output.weight"
_KNOWN = {
    f"{name}.weight"
    for name in (
        *("token_embd", "output_norm", "output", "attn_norm", "attn_q", "attn_k", "attn_v", "attn_output"),
        *("ffn_norm", "ffn_gate", "ffn_up", "ffn_down"),
    )
}


def read(file: GgufFile) -> Llama:
    """The model in `file`.

    Raises:
        MillisError: another architecture, one that differs from Llama's, metadata or tensors that are absent or
            contradict each other, or a type of tensor that cannot be unpacked.
    """
    if (architecture := file.values.get("general.architecture")) != ARCHITECTURE:
        raise MillisError(
            f"{file.path} holds a model of the architecture {architecture!r}, expected {ARCHITECTURE!r}. Choose a "
            "Llama (SmolLM2, TinyLlama, Mistral), or load the model in transformers' form with model=hub"
        )
    said = file.read(_Said)
    head_size = said.head_size or said.hidden_size // said.heads
    _check(file, said, head_size)
    weights = _weights(file, said, head_size)
    table = len(said.tokens), said.hidden_size
    output = torch.from_numpy(file.tensor(_OUTPUT, table)) if _OUTPUT in file.tensors else None
    config = {
        "model_type": ARCHITECTURE,
        "vocab_size": len(said.tokens),
        "hidden_size": said.hidden_size,
        "intermediate_size": said.ffn_size,
        "num_hidden_layers": said.layers,
        "num_attention_heads": said.heads,
        "num_key_value_heads": said.kv_heads or said.heads,
        "head_dim": head_size,
        "max_position_embeddings": said.max_length,
        "rms_norm_eps": said.epsilon,
        "rope_parameters": {"rope_type": "default", "rope_theta": said.theta},
        "tie_word_embeddings": output is None,
        "bos_token_id": file.token("bos", len(said.tokens)),
        "eos_token_id": file.token("eos", len(said.tokens)),
        "pad_token_id": file.token("padding", len(said.tokens)),
    }
    return Llama(config, weights, output)


def unrotated(rows: NDArray[np.float32], heads: int) -> NDArray[np.float32]:
    """Rows of queries or keys [H * head size, D] in transformers' order.

    Rotary embeddings (2104.09864) turn pairs of a head's channels. llama.cpp pairs neighbours, 0 with 1, transformers
    the first half with the second, 0 with head size / 2: row 2 i + j of a head in the file is row j * head size / 2 + i
    here.
    """
    outputs, inputs = rows.shape
    pairs = rows.reshape(heads, outputs // heads // 2, 2, inputs)
    return np.ascontiguousarray(pairs.swapaxes(1, 2)).reshape(outputs, inputs)


def _check(file: GgufFile, said: _Said, head_size: int) -> None:
    """Refuse a Llama that computes what transformers' does not, by what the file says."""
    kv_heads = said.kv_heads or said.heads
    unknown = sorted(name for name in file.tensors if re.sub(r"^blk\.\d+\.", "", name) not in _KNOWN)
    faults = {
        f"the tensor {unknown[0] if unknown else ''}, which a plain Llama does not have": unknown,
        f"{said.heads} heads and {kv_heads} of keys and values, expected a multiple": said.heads % kv_heads,
        f"heads of {head_size} channels, expected an even number": head_size % 2 or not head_size,
        f"positions in {said.rotated} of a head's {head_size} channels, expected all": said.rotated
        not in (None, head_size),
        f"positions scaled by {said.scaling!r}, expected none": said.scaling != "none",
    }
    for fault in (told for told, holds in faults.items() if holds):
        raise MillisError(
            f"{file.path} has {fault}: millis does not compute this. Choose another file, or load the model in "
            "transformers' form with model=hub"
        )


def _parts(said: _Said, head_size: int) -> Iterator[_Part]:
    """The tensors that every Llama of these sizes has."""
    hidden, kv_heads = said.hidden_size, said.kv_heads or said.heads
    query, keys = said.heads * head_size, kv_heads * head_size
    yield _Part("token_embd", "embed_tokens", (len(said.tokens), hidden))
    yield _Part("output_norm", "norm", (hidden,))
    for layer in range(said.layers):
        stored, name = f"blk.{layer}", f"layers.{layer}"
        yield _Part(f"{stored}.attn_norm", f"{name}.input_layernorm", (hidden,))
        yield _Part(f"{stored}.attn_q", f"{name}.self_attn.q_proj", (query, hidden), said.heads)
        yield _Part(f"{stored}.attn_k", f"{name}.self_attn.k_proj", (keys, hidden), kv_heads)
        yield _Part(f"{stored}.attn_v", f"{name}.self_attn.v_proj", (keys, hidden))
        yield _Part(f"{stored}.attn_output", f"{name}.self_attn.o_proj", (hidden, query))
        yield _Part(f"{stored}.ffn_norm", f"{name}.post_attention_layernorm", (hidden,))
        yield _Part(f"{stored}.ffn_gate", f"{name}.mlp.gate_proj", (said.ffn_size, hidden))
        yield _Part(f"{stored}.ffn_up", f"{name}.mlp.up_proj", (said.ffn_size, hidden))
        yield _Part(f"{stored}.ffn_down", f"{name}.mlp.down_proj", (hidden, said.ffn_size))


def _weights(file: GgufFile, said: _Said, head_size: int) -> dict[str, Tensor]:
    """Of `LlamaModel`."""
    weights = {}
    for part in _parts(said, head_size):
        values = file.tensor(f"{part.stored}.weight", part.shape)
        weights[f"{part.name}.weight"] = torch.from_numpy(
            values if part.heads is None else unrotated(values, part.heads)
        )
    return weights
