"""Tiny encoders as teacher and student over the same ragged rows: vocabulary 50, heads of 4 channels."""

import numpy as np
import pytest
import torch

from millis import models
from millis.data.batches import Rows, model_inputs
from millis.distillation.contract import Pair
from millis.distillation.term import answer_key, student_key, teacher_key
from millis.models.features import capture

SIZES = {
    "bert": {
        "model_type": "bert", "vocab_size": 50, "hidden_size": 16, "num_hidden_layers": 4, "num_attention_heads": 4,
        "intermediate_size": 32, "max_position_embeddings": 40, "pad_token_id": 0,
    },
    "roberta": {
        "model_type": "roberta", "vocab_size": 50, "hidden_size": 16, "num_hidden_layers": 4, "num_attention_heads": 4,
        "intermediate_size": 32, "max_position_embeddings": 40, "pad_token_id": 0, "type_vocab_size": 1,
    },
    "electra": {
        "model_type": "electra", "vocab_size": 50, "hidden_size": 16, "num_hidden_layers": 4, "num_attention_heads": 4,
        "intermediate_size": 32, "max_position_embeddings": 40, "pad_token_id": 0, "embedding_size": 8,
    },
    "distilbert": {
        "model_type": "distilbert", "vocab_size": 50, "dim": 16, "n_layers": 4, "n_heads": 4, "hidden_dim": 32,
        "max_position_embeddings": 40, "pad_token_id": 0,
    },
    "gpt2": {
        "model_type": "gpt2", "vocab_size": 50, "n_embd": 16, "n_layer": 4, "n_head": 4, "n_inner": 32,
        "n_positions": 40, "bos_token_id": 2, "eos_token_id": 3,
    },
}  # fmt: skip
LENGTHS = [5, 3, 7, 2, 4, 6, 3, 5]


def build(model_type="bert", layers=4, heads=4, hidden=16, seed=0):
    """An encoder with random weights everywhere; `heads` is a number or one of each layer."""
    config = {**SIZES[model_type]}
    hidden_key = {"distilbert": "dim", "gpt2": "n_embd"}.get(model_type, "hidden_size")
    layers_key = {"distilbert": "n_layers", "gpt2": "n_layer"}.get(model_type, "num_hidden_layers")
    config |= {hidden_key: hidden, layers_key: layers}
    counts = [heads] * layers if isinstance(heads, int) else heads
    spec = {
        "family": "transformer", "encoder": config, "affixes": [[2], [3]], "pooling": "mean", "dropout": 0.1,
        "shape": {"head_size": 4, "heads": counts, "ffn": [32] * layers}, "num_labels": 3,
    }  # fmt: skip
    torch.manual_seed(seed)
    model = models.build(models.read(spec)).eval()
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(torch.randn_like(parameter) * 0.3)
    return model


@pytest.fixture
def encoder():
    return build


@pytest.fixture
def rows(encoded):
    """Eight rows of 2 to 7 tokens."""
    generator = np.random.default_rng(0)
    ragged = [generator.integers(4, 50, length) for length in LENGTHS]
    return Rows(encoded(ragged, generator.integers(0, 3, len(LENGTHS)), classes=3), 0)


@pytest.fixture
def pair(rows):
    """`pair(student, teacher)` over the same rows; both are the default encoder where they are not given."""

    def make(student=None, teacher=None, teacher_rows=None):
        return Pair(student or build(), teacher or build(), rows, teacher_rows or rows)

    return make


@pytest.fixture
def batch_of():
    """`batch_of(pair, loss)`: the student's outputs, and a padded batch with every feature that `loss` reads and the
    teacher's logits."""

    def make(pair, loss, index=(0, 1, 2, 3)):
        batch = pair.rows.__getitems__(list(index))
        with capture(pair.teacher, loss.teacher_features) as theirs, torch.no_grad():
            taught = pair.teacher(**model_inputs(batch))
        with capture(pair.student, loss.student_features) as ours:
            logits = pair.student(**model_inputs(batch))
        batch |= {answer_key("logits"): taught}
        batch |= {teacher_key(feature): value for feature, value in theirs.items()}
        batch |= {student_key(feature): value for feature, value in ours.items()}
        return [logits], batch

    return make
