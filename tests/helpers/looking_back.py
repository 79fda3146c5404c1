"""Small models that say what comes next, of any architecture and shape, with wide-apart weights; what they say."""

import numpy as np
import torch
from shaped import spread

from millis.backends.onnx.decoder import OnnxDecoder
from millis.backends.onnx.session import open_inference
from millis.backends.onnx.writing import export_decoder
from millis.models import build, read
from millis.types import Signature

VOCABULARY, LONGEST = 40, 48
SPECIAL = {"pad_token_id": 0, "bos_token_id": 1, "eos_token_id": 2}


def looking_back(
    kind="llama", heads=(6, 3), ffn=(20, 33), groups=3, size=8, hidden=24, tied=True, seed=0, ranks=None, **changes
):
    """A model whose layers have so many heads, `groups` of which share a key and a value, and neurons.

    Args:
        changes: Of the encoder's config.
    """
    if kind == "gpt2":
        sizes = {"n_embd": hidden, "n_layer": len(heads), "n_head": 1, "n_positions": LONGEST}
    else:
        sizes = {
            "hidden_size": hidden, "num_hidden_layers": len(heads), "num_attention_heads": groups, "head_dim": size,
            "num_key_value_heads": 1, "intermediate_size": 1, "max_position_embeddings": LONGEST,
        }  # fmt: skip
    encoder = {"model_type": kind, "vocab_size": VOCABULARY, **SPECIAL, **sizes, **changes}
    spec = {
        "family": "transformer", "encoder": encoder, "pooling": "mean", "dropout": 0.0, "affixes": [[1], [2]],
        "shape": {"head_size": size, "heads": [*heads], "ffn": [*ffn]}, "tied": tied,
        "outputs": [["next", "token", VOCABULARY, "next"]], **({"ranks": ranks} if ranks else {}),
    }  # fmt: skip
    return spread(build(read(spec)), seed)


def tokens(seed, count):
    return np.random.default_rng(seed).integers(0, VOCABULARY, count)


def after_each(model, ids):
    """What the module says after each of the tokens, [K, V]."""
    given = torch.from_numpy(ids)[None]
    with torch.inference_mode():
        return model(given, torch.ones_like(given)).numpy()[0]


def signature(model):
    return Signature(("input_ids", "attention_mask"), model.spec.outputs)


def exported(model, path, quantization=None, calibration=()):
    """The model on ONNX Runtime."""
    export_decoder(model, path, signature(model), quantization, calibration)
    return OnnxDecoder(*open_inference(path, threads=1))
