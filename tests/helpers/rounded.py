"""Tiny models of every family, quantizations with a training to them, and what they answer."""

from dataclasses import replace

import numpy as np
import torch

from millis import models
from millis.backends.onnx.arithmetic import arithmetic
from millis.models.encoder import grown
from millis.models.exits import with_exits_after
from millis.models.token_pruning import with_tokens_dropped
from millis.quantization import rounding
from millis.quantization.qat import Aware
from millis.quantization.spec import Calibration, Quantization
from millis.types import Features

VOCABULARY = 50
BERT = {
    "model_type": "bert", "vocab_size": VOCABULARY, "hidden_size": 16, "num_hidden_layers": 2,
    "num_attention_heads": 2, "intermediate_size": 32, "max_position_embeddings": 32, "type_vocab_size": 2,
    "pad_token_id": 0,
}  # fmt: skip
ENCODERS = {
    "bert": BERT,
    "roberta": {**BERT, "model_type": "roberta", "type_vocab_size": 1, "pad_token_id": 1},
    "distilbert": {
        "model_type": "distilbert", "vocab_size": VOCABULARY, "dim": 16, "n_layers": 2, "n_heads": 2, "hidden_dim": 32,
        "max_position_embeddings": 32, "pad_token_id": 0,
    },
    "gpt2": {
        "model_type": "gpt2", "vocab_size": VOCABULARY, "n_embd": 16, "n_layer": 2, "n_head": 2, "n_inner": 32,
        "n_positions": 32, "bos_token_id": 2, "eos_token_id": 3,
    },
    "albert": {  # its layers share their weights, and millis does not know its parts
        "model_type": "albert", "vocab_size": VOCABULARY, "embedding_size": 8, "hidden_size": 16,
        "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 32, "max_position_embeddings": 32,
    },
}  # fmt: skip
FAMILIES = {
    "static": {"size": 16},
    "convolution": {"embedding_size": 16, "filters": 8, "widths": [1, 3, 5]},
    "bilstm": {"embedding_size": 16, "hidden_size": 8},
}
RANKS = {"encoder.embeddings.word_embeddings": 4, "encoder.encoder.layer.0.intermediate.dense": 6}
KINDS = [*ENCODERS, "low rank", *FAMILIES]
RECIPES = {
    "dynamic": {},
    "one scale": {"per_channel": False},
    "7 bits": {"reduce_range": True},
    "static": {"activations": "static", "calibration": Calibration(texts=8)},
    "8 bits alone": {"activations": "none", "block_size": 32},
    "4 bits alone": {"weights": 4, "activations": "none", "block_size": 16},
    "8 among 4": {
        "weights": 4, "activations": "none", "block_size": 16, "int8": ("head",),
    },
}  # fmt: skip


def spec(kind="bert"):
    if kind in FAMILIES:
        return models.read(
            {"family": kind, "vocab_size": VOCABULARY, "dropout": 0.0, "num_labels": 3, **FAMILIES[kind]}
        )
    if kind == "low rank":
        return replace(spec("bert"), ranks=RANKS)
    shape = {} if kind == "albert" else {"shape": {"head_size": 8, "heads": [2, 2], "ffn": [32, 32]}}
    said = {
        "family": "transformer", "encoder": ENCODERS[kind], "affixes": [[], []], "pooling": "mean", "dropout": 0.0,
        "num_labels": 3, **shape,
    }  # fmt: skip
    return models.read(said)


def model(kind="bert", seed=0):
    """Weights wide apart, so that logits are, too."""
    torch.manual_seed(seed)
    made = models.build(spec(kind))
    with torch.no_grad():
        for parameter in made.parameters():
            if parameter.dim() > 1:
                parameter.normal_(std=0.3)
    return made.eval()


def with_exits(made, layers):
    """`made` with fresh exits."""
    return grown(made, with_exits_after(made.spec, layers))


def with_tokens_pruned(made, layers):
    """`made` with fresh thresholds."""
    return grown(made, with_tokens_dropped(made.spec, layers))


def quantization(recipe="dynamic", *, keep=(), **aware):
    return Quantization(**RECIPES[recipe], keep=keep, aware=Aware(**aware))


def prepare(made, asked):
    """As ONNX Runtime computes."""
    rounding.prepare(made, asked, arithmetic(asked))


def batch(seed=0, rows=8, length=6):
    """Token ids [B, S], the second half of the rows padded by two, and labels."""
    generator = torch.Generator().manual_seed(seed)
    ids = torch.randint(4, VOCABULARY, (rows, length), generator=generator)
    mask = torch.ones_like(ids)
    mask[rows // 2 :, -2:] = 0
    return ids * mask, mask, torch.randint(0, 3, (rows,), generator=generator)


def train(made, steps=3, lr=5e-3):
    """A few steps of AdamW on random labels; the model is left in evaluation mode."""
    optimizer = torch.optim.AdamW(made.parameters(), lr=lr)
    made.train()
    for step in range(steps):
        ids, mask, labels = batch(step)
        loss = torch.nn.functional.cross_entropy(made(ids, mask), labels)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    return made.eval()


def trained(kind="bert", recipe="dynamic", **aware):
    """A prepared model that has seen a few batches."""
    made = model(kind)
    prepare(made, quantization(recipe, **aware))
    return train(made)


def requests(count=24, seed=3):
    """Texts of 1 to 11 tokens, one at a time."""
    generator = np.random.default_rng(seed)
    ids = [generator.integers(4, VOCABULARY, (1, length)) for length in generator.integers(1, 12, count)]
    return [Features(row, np.ones_like(row), None) for row in ids]


@torch.no_grad()
def answers(made, texts):
    """Logits [N, C], one text at a time."""
    return torch.cat([made(torch.from_numpy(text.ids), torch.from_numpy(text.mask)) for text in texts]).numpy()
