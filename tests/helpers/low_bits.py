"""A small language that a small model learns in a second, and how far rounding takes the model from what it says."""

import numpy as np
import torch
from causal import VOCABULARY, spec_of
from torch import nn

from millis.models import build
from millis.quantization.spec import Calibration, Gptq, Quantization
from millis.types import Features

FOUR = Quantization(weights=4, activations="none", block_size=16)
GPTQ = Quantization(weights=4, activations="none", block_size=16, gptq=Gptq(), calibration=Calibration())


def texts(count=24, length=20, seed=1):
    """In which a token is likely to be followed by the next of the vocabulary."""
    generator = np.random.default_rng(seed)
    steps = generator.choice([1, 1, 1, 2, 7], (count, length))
    ids = 3 + np.cumsum(steps, axis=1) % (VOCABULARY - 3)
    return [Features(row[None], np.ones((1, length), np.int64), None) for row in ids]


def learned(tied=False, steps=60, **changes):
    """A little Llama of wide-apart weights that has learned a little of it."""
    torch.manual_seed(0)
    model = build(spec_of("llama", tied=tied, **changes))
    for parameter in model.parameters():
        if parameter.dim() > 1:
            parameter.data.normal_(std=0.15)
    optimizer = torch.optim.AdamW(model.parameters(), lr=3e-3)
    for step in range(steps):
        ids = torch.from_numpy(np.concatenate([text.ids for text in texts(16, seed=100 + step)]))
        loss = nn.functional.cross_entropy(model(ids, torch.ones_like(ids))[:, :-1].flatten(0, 1), ids[:, 1:].flatten())
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    return model.eval()


def divergence(expected, found):
    """KL of logits, nats a row."""
    expected, found = (torch.as_tensor(logits).log_softmax(-1) for logits in (expected, found))
    return float((expected.exp() * (expected - found)).sum(-1).mean())
