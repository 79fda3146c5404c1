"""Specs with another part, as JSON would say it."""

from millis import models


def changed(spec, **values):
    """`spec` with other values; None takes one away."""
    said = spec.to_json()
    if {"outputs", "num_labels"} & values.keys():
        said = {name: value for name, value in said.items() if name not in ("outputs", "num_labels")}
    return models.read({name: value for name, value in {**said, **values}.items() if value is not None})


def static(**values):
    """A small model of family `static` with two labels."""
    return models.read({"family": "static", "vocab_size": 12, "size": 16, "dropout": 0.0, "num_labels": 2, **values})


def transformer(heads=(2, 2), **values):
    """A small BERT with two labels; its layers have so many heads of 8."""
    encoder = {
        "model_type": "bert", "vocab_size": 12, "hidden_size": 16, "num_hidden_layers": len(heads),
        "num_attention_heads": 2, "intermediate_size": 32, "max_position_embeddings": 16, "type_vocab_size": 2,
        "pad_token_id": 0,
    }  # fmt: skip
    said = {
        "family": "transformer", "encoder": encoder, "affixes": [[], []], "pooling": "mean", "dropout": 0.0,
        "shape": {"head_size": 8, "heads": list(heads), "ffn": [32] * len(heads)}, "num_labels": 2,
    }  # fmt: skip
    return changed(models.read(said), **values)
