"""Vectors of texts from a pre-trained encoder as it comes: the pooled states, of length 1."""

from collections.abc import Sequence
from functools import lru_cache
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from millis.models import max_length
from millis.models.outputs import LOGITS
from millis.types import Output

TOGETHER = 64  # texts a pass


def sentence_vectors(source: Any, texts: Sequence[str], longest: int) -> NDArray[np.float32]:
    """One vector a text, [N, D] of length 1; computed once a process.

    Args:
        source: Of a model with an encoder (`millis.models.load`).
        texts: N of them.
        longest: Tokens of a text that are read.
    """
    return _computed(source, tuple(texts), longest)


@lru_cache(maxsize=2)
@torch.inference_mode()
def _computed(source: Any, texts: tuple[str, ...], longest: int) -> NDArray[np.float32]:
    with torch.random.fork_rng():
        torch.manual_seed(0)  # where the encoder is made of nothing
        model, tokenizer = source((Output(LOGITS, "text", 2),), texts)
    tokenizer.enable_truncation(min(longest, max_length(model.spec)))
    encodings = tokenizer.encode_batch(list(texts))
    order = sorted(range(len(texts)), key=lambda row: len(encodings[row].ids))
    model.eval()
    vectors: list[Any] = [None] * len(texts)
    for begin in range(0, len(order), TOGETHER):
        rows = order[begin : begin + TOGETHER]
        width = max(len(encodings[row].ids) for row in rows)
        ids, mask = (torch.zeros(len(rows), width, dtype=torch.int64) for _ in range(2))
        for place, row in enumerate(rows):
            length = len(encodings[row].ids)
            ids[place, :length], mask[place, :length] = torch.tensor(encodings[row].ids), 1
        pooled = torch.nn.functional.normalize(model.pooled(ids, mask), dim=1)
        for row, vector in zip(rows, pooled.numpy(), strict=True):
            vectors[row] = vector
    return np.stack(vectors).astype(np.float32)
