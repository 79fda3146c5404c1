"""Transformers of any architecture and shape with wide-apart weights, batches for them, and what eager answers."""

import numpy as np
import torch
from signatures import PAIRS, TEXTS

from millis.models import build, read
from millis.models.outputs import each
from millis.types import Features, Signature

VOCABULARY, LONGEST = 40, 24
SIZES = {"vocab_size": VOCABULARY, "type_vocab_size": 2, "pad_token_id": 1}
ENCODERS = {
    "bert": {"model_type": "bert", **SIZES, "max_position_embeddings": LONGEST},
    "roberta": {"model_type": "roberta", **SIZES, "type_vocab_size": 1, "max_position_embeddings": LONGEST + 2},
    "electra": {"model_type": "electra", **SIZES, "embedding_size": 12, "max_position_embeddings": LONGEST},
    "distilbert": {"model_type": "distilbert", "vocab_size": VOCABULARY, "max_position_embeddings": LONGEST},
}
NAMES = {
    "distilbert": ("dim", "n_layers", "n_heads", "hidden_dim"),
    "others": ("hidden_size", "num_hidden_layers", "num_attention_heads", "intermediate_size"),
}

RANKS = {
    "encoder.embeddings.word_embeddings": 5, "encoder.encoder.layer.0.attention.self.key": 3,
    "encoder.encoder.layer.1.intermediate.dense": 4, "encoder.encoder.layer.0.attention.output.dense": 2,
}  # fmt: skip
SMALL = {
    "static": {"family": "static", "vocab_size": VOCABULARY, "size": 20, "dropout": 0.0, "num_labels": 3},
    "static l2": {
        "family": "static", "vocab_size": VOCABULARY, "size": 3, "norm": "l2", "dropout": 0.0, "num_labels": 3,
    },
    "convolution": {
        "family": "convolution", "vocab_size": VOCABULARY, "embedding_size": 20, "filters": 19, "widths": [1, 3, 5],
        "dropout": 0.0, "outputs": [["intent", "text", 3, "one"], ["tags", "token", 4, "one"]],
    },
    "bilstm": {
        "family": "bilstm", "vocab_size": VOCABULARY, "embedding_size": 20, "hidden_size": 19, "dropout": 0.0,
        "outputs": [["intent", "text", 3, "one"], ["tags", "token", 4, "one"]],
    },
}  # fmt: skip


def transformer(kind, hidden=32, size=8, heads=(4, 2), ffn=(48, 20), **changes):
    """A model of an architecture with wide-apart weights."""
    names = NAMES.get(kind, NAMES["others"])
    encoder = ENCODERS[kind] | dict(zip(names, (hidden, len(heads), 1, max(*ffn, 1)), strict=True))
    spec = {
        "family": "transformer", "encoder": encoder, "shape": {"head_size": size, "heads": [*heads], "ffn": [*ffn]},
        "pooling": "mean", "dropout": 0.0, "num_labels": 3, "affixes": [[], []],
    } | changes  # fmt: skip
    return spread(build(read(spec)))


def spread(model, seed=0):
    torch.manual_seed(seed)
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if "norm" not in name.lower():
                parameter.normal_(std=0.3)
            else:
                parameter.add_(torch.randn_like(parameter) * 0.2)
    return model.eval()


def signature_of(model, pairs=False):
    return Signature(PAIRS.inputs if pairs else TEXTS.inputs, model.spec.outputs)


def batch(seed, count, length, pairs=False):
    """Rows of several lengths, each of at least one token; none is RoBERTa's padding where it is a token."""
    chance = np.random.default_rng(seed)
    lengths = chance.integers(1, length + 1, count)
    lengths[0] = length
    mask = (np.arange(length) < lengths[:, None]).astype(np.int64)
    ids = np.where(mask, chance.integers(2, VOCABULARY, (count, length)), 1)
    types = chance.integers(0, 2, (count, length)) * mask if pairs else None
    return Features(ids, mask, types)


def eager(model, features):
    arguments = [torch.from_numpy(array) for array in features if array is not None]
    with torch.inference_mode():
        return [output.numpy() for output in each(model(*arguments))]


def agree(found, expected, features, outputs, tolerance=2e-5):
    for ours, theirs, output in zip(found, expected, outputs, strict=True):
        real = features.mask > 0 if output.per == "token" else slice(None)
        assert ours.dtype == np.float32 and ours.shape == theirs.shape
        assert np.abs(ours[real] - theirs[real]).max() <= tolerance * max(1, np.abs(theirs[real]).max())
