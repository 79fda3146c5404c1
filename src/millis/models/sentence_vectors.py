"""Vectors of texts from a pre-trained encoder as it comes: the pooled states, of length 1."""

from collections.abc import Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from millis import __version__
from millis.described import described
from millis.models import max_length
from millis.models.outputs import LOGITS
from millis.store import atomic_file, cached, checksums, fingerprint, locked
from millis.types import Output

TOGETHER = 64  # texts a pass


def sentence_vectors(source: Any, texts: Sequence[str], longest: int, cache: Path | None = None) -> NDArray[np.float32]:
    """One vector a text, [N, D] of length 1; computed once a process, or once where there is a cache.

    Args:
        source: Of a model with an encoder (`millis.models.load`).
        texts: N of them.
        longest: Tokens of a text that are read.
        cache: Folder in which they are kept; a file there that is damaged says so.
    """
    found: NDArray[np.float32] = _kept(source, tuple(texts), longest, cache)
    return found


@lru_cache(maxsize=4)
def _kept(source: Any, texts: tuple[str, ...], longest: int, cache: Path | None) -> Any:
    if cache is None:
        return _computed(source, texts, longest)
    said = described(source)
    key = fingerprint("vectors", __version__, said, checksums(said), list(texts), longest)
    path = cache / "vectors" / f"{key}.npy"
    with locked(path, "vectors of the collection, which another process makes"):
        if not path.is_file():
            with atomic_file(path) as temporary, temporary.open("wb") as file:
                np.save(file, _computed(source, texts, longest), allow_pickle=False)
    with cached(path):
        return np.load(path, allow_pickle=False)


@torch.inference_mode()
def _computed(source: Any, texts: tuple[str, ...], longest: int) -> NDArray[np.float32]:
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
    vectors: NDArray[np.float32] = np.concatenate(parts)
    vectors[order] = vectors.copy()
    return vectors
