"""Tiny random encoders: hidden 32, 4 heads of 8, FFN 64, vocabulary 100. One of each supported architecture."""

import pytest
import torch
from specs import changed

from millis import models

torch.set_num_threads(1)

BERT = {
    "model_type": "bert",
    "vocab_size": 100,
    "hidden_size": 32,
    "num_hidden_layers": 4,
    "num_attention_heads": 4,
    "intermediate_size": 64,
    "max_position_embeddings": 40,
    "type_vocab_size": 2,
    "pad_token_id": 0,
}
CONFIGS = {
    "bert": BERT,
    "roberta": {**BERT, "model_type": "roberta", "type_vocab_size": 1, "pad_token_id": 1},
    "xlm-roberta": {**BERT, "model_type": "xlm-roberta", "type_vocab_size": 1, "pad_token_id": 1},
    "camembert": {**BERT, "model_type": "camembert", "type_vocab_size": 1, "pad_token_id": 1},
    "electra": {**BERT, "model_type": "electra", "embedding_size": 32},
    "distilbert": {
        "model_type": "distilbert",
        "vocab_size": 100,
        "dim": 32,
        "n_layers": 4,
        "n_heads": 4,
        "hidden_dim": 64,
        "max_position_embeddings": 40,
        "pad_token_id": 0,
    },
    "gpt2": {
        "model_type": "gpt2",
        "vocab_size": 100,
        "n_embd": 32,
        "n_layer": 4,
        "n_head": 4,
        "n_inner": 64,
        "n_positions": 40,
        "bos_token_id": 2,
        "eos_token_id": 3,
    },
}
LLAMA = {
    "model_type": "llama",
    "vocab_size": 100,
    "hidden_size": 32,
    "num_hidden_layers": 4,
    "num_attention_heads": 4,
    "num_key_value_heads": 4,
    "intermediate_size": 64,
    "max_position_embeddings": 40,
    "pad_token_id": 0,
}
CONFIGS |= {
    "llama": LLAMA,
    "mistral": {**LLAMA, "model_type": "mistral", "sliding_window": None},
    "qwen2": {**LLAMA, "model_type": "qwen2"},
}


def make_spec(model_type="bert", **changes):
    spec = {
        "family": "transformer",
        "encoder": CONFIGS[model_type],
        "shape": {"head_size": 8, "heads": [4] * 4, "ffn": [64] * 4},
        "affixes": [[2], [3]],
        "pooling": "mean",
        "dropout": 0.1,
        "num_labels": 3,
    }
    return changed(models.read(spec), **changes)


def make_model(spec, seed=0):
    """A model whose weights, biases and layer norms are all random: nothing is 0 or 1 by initialisation."""
    torch.manual_seed(seed)
    model = models.build(spec).eval()
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(torch.randn_like(parameter) * 0.1)
    return model


@pytest.fixture
def spec():
    return make_spec


@pytest.fixture
def model():
    return make_model


@pytest.fixture(scope="session")
def teacher():
    return make_model(make_spec())


@pytest.fixture
def batch():
    """Random token ids [B, S] that are no special tokens, and a mask of ones."""

    def make(rows, length, seed=0):
        ids = torch.randint(4, 100, (rows, length), generator=torch.Generator().manual_seed(seed))
        return ids, torch.ones_like(ids)

    return make
