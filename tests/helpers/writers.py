"""Decoders of any architecture and shape with wide-apart weights, their plans, and what the modules say."""

import numpy as np
import torch
from shaped import spread

from millis.backends.plan import file
from millis.backends.plan.builder import Builder
from millis.backends.plan.decoder import build as add_steps
from millis.models import build, read

VOCABULARY = 40
LONGEST = 160


def writer(
    heads=(6, 3), ffn=(20, 33), groups=3, size=8, hidden=24, tied=True, kind="llama", seed=0, outputs=None, **changes
):
    """A model that says what comes next, or gives `outputs`, with so many heads and neurons in its layers.

    Args:
        groups: How many heads share a key and a value.
        changes: Of the encoder's config.
    """
    if kind == "gpt2":
        sizes = {"n_embd": hidden, "n_layer": len(heads), "n_head": 1, "n_positions": LONGEST}
    else:
        sizes = {
            "hidden_size": hidden, "num_hidden_layers": len(heads), "num_attention_heads": groups,
            "num_key_value_heads": 1, "intermediate_size": 1, "head_dim": size, "max_position_embeddings": LONGEST,
        }  # fmt: skip
    spec = {
        "family": "transformer", "encoder": {"model_type": kind, "vocab_size": VOCABULARY, **sizes, **changes},
        "shape": {"head_size": size, "heads": [*heads], "ffn": [*ffn]}, "pooling": "mean", "dropout": 0.0,
        "affixes": [[], []], "tied": tied and outputs is None,
        "outputs": outputs or [["next", "token", VOCABULARY, "next"]],
    }  # fmt: skip
    return spread(build(read(spec)), seed)


def planned(model, path, integers=None, precision="fp32", cache="fp32"):
    """The model's plan, written and read."""
    builder = Builder(model, model.spec.outputs, integers, precision, cache)
    add_steps(model, builder)
    builder.write(path)
    return file.read(path)


def tokens(seed, count):
    return np.random.default_rng(seed).integers(0, VOCABULARY, count)


def after_each(model, ids):
    """What the module says after each of the tokens, [K, V]."""
    given = torch.from_numpy(ids)[None]
    with torch.inference_mode():
        return model(given, torch.ones_like(given)).numpy()[0]
