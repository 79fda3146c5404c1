"""A tiny BERT (hidden 16, 2 heads of 8, FFN 32) over a WordPiece vocabulary of animals and places."""

import pytest
import torch

from millis import models
from millis.models import wordpiece

ANIMALS = ["cat", "dog", "horse", "mouse", "bird", "fish", "cow", "sheep", "goat", "hen"]
PLACES = ["house", "barn", "river", "garden", "field", "forest", "kitchen", "roof"]
SENTENCES = [f"the {animal} sat in the {place}." for animal in ANIMALS for place in PLACES]


@pytest.fixture(scope="session")
def tokenizer():
    return wordpiece.train(SENTENCES, 400, lowercase=True)


@pytest.fixture
def spec(tokenizer):
    config = {
        "model_type": "bert",
        "vocab_size": tokenizer.get_vocab_size(),
        "hidden_size": 16,
        "num_hidden_layers": 2,
        "num_attention_heads": 2,
        "intermediate_size": 32,
        "max_position_embeddings": 32,
        "type_vocab_size": 2,
        "pad_token_id": 0,
    }
    said = {
        "family": "transformer",
        "encoder": config,
        "shape": {"head_size": 8, "heads": [2, 2], "ffn": [32, 32]},
        "affixes": [[2], [3]],
        "pooling": "mean",
        "dropout": 0.1,
        "num_labels": 3,
    }
    return models.read(said)


@pytest.fixture
def model(spec):
    """Weights, biases and norms all random and of order 1, so that what is lost shows."""
    torch.manual_seed(0)
    built = models.build(spec).eval()
    with torch.no_grad():
        for parameter in built.parameters():
            parameter.add_(torch.randn_like(parameter) * 0.3)
    return built


@pytest.fixture
def batches():
    """Makes labelled batches of sentences under any tokenizer, padded."""

    def make(tokenizer, texts=SENTENCES[::7], size=4):
        rows = [tokenizer.encode(text).ids for text in texts]
        for start in range(0, len(rows), size):
            chunk = rows[start : start + size]
            longest = max(map(len, chunk))
            yield {
                "input_ids": torch.tensor([row + [0] * (longest - len(row)) for row in chunk]),
                "attention_mask": torch.tensor([[1] * len(row) + [0] * (longest - len(row)) for row in chunk]),
                "rows": torch.arange(start, start + len(chunk)),
                "target/logits": torch.tensor([(start + at) % 3 for at in range(len(chunk))]),
            }

    return make
