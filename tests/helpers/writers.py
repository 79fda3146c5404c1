"""Decoders of transformers with wide-apart weights and layers of any heads and neurons, and their plans."""

from pathlib import Path

import numpy as np
import torch
from shaped import spread
from torch import nn
from transformers import LlamaConfig, LlamaModel

from millis.backends.plan import decoder, file
from millis.backends.plan.builder import Builder
from millis.types import Output

VOCABULARY = 40


class Writer(nn.Module):
    """A decoder and its output matrix: what comes next after each token, [B, S, V]."""

    def __init__(self, encoder, tied=True):
        super().__init__()
        self.encoder = encoder
        self.next = nn.Linear(encoder.config.hidden_size, encoder.config.vocab_size, bias=False)
        if tied:
            self.next.weight = encoder.embed_tokens.weight

    def forward(self, ids, mask=None):
        return self.next(self.encoder(input_ids=ids, attention_mask=mask).last_hidden_state)


def config(kind=LlamaConfig, hidden=24, size=8, layers=2, **changes):
    """Of one head a layer, as every hidden size has it."""
    return kind(
        vocab_size=VOCABULARY, hidden_size=hidden, intermediate_size=20, num_hidden_layers=layers,
        num_attention_heads=1, num_key_value_heads=1, head_dim=size, max_position_embeddings=512, **changes,
    )  # fmt: skip


def writer(layers=((6, 2, 20), (2, 1, 33)), tied=True, kind=LlamaModel, seed=0, **changes):
    """A decoder whose layers have so many heads of queries, heads of keys and values, and neurons."""
    model = kind(config(kind.config_class, layers=len(layers), **changes))
    for layer, (heads, groups, neurons) in zip(model.layers, layers, strict=True):
        attention, mlp, size = layer.self_attn, layer.mlp, layer.self_attn.head_dim
        attention.num_key_value_groups = heads // groups
        for name, count in (("q_proj", heads), ("k_proj", groups), ("v_proj", groups)):
            setattr(attention, name, resized(getattr(attention, name), outputs=count * size))
        attention.o_proj = resized(attention.o_proj, inputs=heads * size)
        mlp.gate_proj, mlp.up_proj = (resized(one, outputs=neurons) for one in (mlp.gate_proj, mlp.up_proj))
        mlp.down_proj = resized(mlp.down_proj, inputs=neurons)
    return spread(Writer(model, tied), seed)


def resized(linear, inputs=None, outputs=None):
    return nn.Linear(inputs or linear.in_features, outputs or linear.out_features, bias=linear.bias is not None)


def planned(model, path: Path, integers=None):
    """The model's plan, written and read."""
    builder = Builder(model, [Output("next", "token", VOCABULARY, "next")], integers)
    decoder.build(model.encoder, model.next, builder)
    builder.write(path)
    return file.read(path)


def tokens(seed, count):
    return np.random.default_rng(seed).integers(0, VOCABULARY, count)


def after_each(model, ids):
    """What the module says after each of the tokens, [K, V]."""
    with torch.inference_mode():
        return model(torch.from_numpy(ids)[None]).numpy()[0]
