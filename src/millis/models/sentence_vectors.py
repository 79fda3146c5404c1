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
    found: NDArray[np.float32] = _computed(source, tuple(texts), longest)
    return found


@lru_cache(maxsize=2)
@torch.inference_mode()
def _computed(source: Any, texts: tuple[str, ...], longest: int) -> Any:
    with torch.random.fork_rng():
        torch.manual_seed(0)  # where the encoder is made of nothing
        model, tokenizer = source((Output(LOGITS, "text", 2),), texts)
    tokenizer.enable_truncation(min(longest, max_length(model.spec)))
    tokenizer.enable_padding()
    model.eval()
    order = np.argsort([len(text) for text in texts], kind="stable")  # so that neighbours are of like length
    parts = []
    for begin in range(0, len(order), TOGETHER):
        encodings = tokenizer.encode_batch([texts[row] for row in order[begin : begin + TOGETHER]])
        ids, mask = (torch.tensor([getattr(one, name) for one in encodings]) for name in ("ids", "attention_mask"))
        parts.append(torch.nn.functional.normalize(model.pooled(ids, mask), dim=1).numpy())
    vectors = np.concatenate(parts)
    vectors[order] = vectors.copy()
    return vectors
