"""What pruning is tried on: matrices that can be worked by hand, and tiny encoders of every architecture."""

import pytest
import torch
from specs import changed
from torch import nn

from millis import models

SIZES = {
    "bert": ("num_hidden_layers", "hidden_size", "num_attention_heads", "intermediate_size"),
    "roberta": ("num_hidden_layers", "hidden_size", "num_attention_heads", "intermediate_size"),
    "electra": ("num_hidden_layers", "hidden_size", "num_attention_heads", "intermediate_size"),
    "distilbert": ("n_layers", "dim", "n_heads", "hidden_dim"),
    "gpt2": ("n_layer", "n_embd", "n_head", "n_inner"),
}
NO_DROPOUT = {
    "distilbert": {"dropout": 0.0, "attention_dropout": 0.0},
    "gpt2": {"resid_pdrop": 0.0, "embd_pdrop": 0.0, "attn_pdrop": 0.0, "bos_token_id": 0, "eos_token_id": 0},
}


class Net(nn.Module):
    """[B, 4] → [B, 2]: a matrix of 2 x 4 without a bias, and a classifier that is the identity."""

    def __init__(self, weight):
        super().__init__()
        self.body = nn.Linear(4, 2, bias=False)
        self.head = nn.Linear(2, 2, bias=False)
        with torch.no_grad():
            self.body.weight.copy_(torch.tensor(weight))
            self.head.weight.copy_(torch.eye(2))

    def forward(self, x, attention_mask=None):
        return self.head(self.body(x))


@pytest.fixture
def net():
    """Makes a `Net` with the weight given."""

    def make(weight=((1.0, -2.0, 3.0, -4.0), (5.0, -6.0, 7.0, -8.0))):
        return Net(weight)

    return make


def tiny_spec(model_type="bert", layers=2, **changes):
    """2 layers of 16 with 4 heads of 4 and 12 neurons; vocabulary 50; no dropout."""
    sizes = dict(zip(SIZES[model_type], (layers, 16, 4, 12), strict=True))
    rest = {"n_positions": 20} if model_type == "gpt2" else {"max_position_embeddings": 20, "pad_token_id": 0}
    rest |= NO_DROPOUT.get(model_type, {"hidden_dropout_prob": 0.0, "attention_probs_dropout_prob": 0.0})
    rest |= {"embedding_size": 16} if model_type == "electra" else {}
    said = {
        "family": "transformer",
        "encoder": {"model_type": model_type, "vocab_size": 50, **sizes, **rest},
        "shape": {"head_size": 4, "heads": [4] * layers, "ffn": [12] * layers},
        "affixes": [[2], [3]],
        "pooling": "mean",
        "dropout": 0.0,
        "num_labels": 3,
    }
    return changed(models.read(said), **changes)


@pytest.fixture
def spec():
    return tiny_spec


def tiny_encoder(model_type="bert", seed=0, **changes):
    """In evaluation mode; weights, biases and norms are all random."""
    torch.manual_seed(seed)
    model = models.build(tiny_spec(model_type, **changes)).eval()
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(torch.randn_like(parameter) * 0.2)
    return model


@pytest.fixture
def encoder():
    """Makes a tiny encoder."""
    return tiny_encoder


@pytest.fixture(scope="session")
def encoders():
    """One of every architecture, to be copied."""
    return {model_type: tiny_encoder(model_type) for model_type in SIZES}


@pytest.fixture(scope="session")
def batch():
    """Token ids [3, 6] and their mask, the last two of row 0 padding."""
    ids = torch.randint(4, 50, (3, 6), generator=torch.Generator().manual_seed(0))
    mask = torch.ones_like(ids)
    mask[0, 4:] = 0
    return ids, mask
