"""The teacher's outputs on the training rows: computed once, not once an epoch, and kept on disk."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from millis.data.batches import Rows, model_inputs
from millis.data.encode import Encoded
from millis.store import atomic_file

BATCH = 128


def teacher_logits(teacher: nn.Module, rows: Encoded, pad_id: int, path: Path) -> NDArray[np.float32]:
    """Logits of `teacher` on every row, [N, C] float32, in row order; read from `path` where they lie already.

    Args:
        path: `.npy` file; its name should hold the fingerprint of the teacher and the rows.
    """
    if path.is_file():
        cached: NDArray[np.float32] = np.load(path, allow_pickle=False)
        return cached
    batches = Rows(rows, pad_id)
    teacher.eval()
    device = next(teacher.parameters()).device
    outputs: NDArray[np.float32] | None = None
    with torch.inference_mode():
        for index in longest_first(rows.lengths):
            inputs = {
                name: value.to(device) for name, value in model_inputs(batches.__getitems__(index.tolist())).items()
            }
            logits = teacher(**inputs).float().cpu().numpy()
            if outputs is None:
                outputs = np.empty((len(rows), logits.shape[1]), dtype=np.float32)
            outputs[index] = logits
    assert outputs is not None  # a training split has rows: `dataset_from_rows` refuses an empty one
    with atomic_file(path) as temporary, temporary.open("wb") as file:
        np.save(file, outputs)
    return outputs


def longest_first(lengths: NDArray[np.int64]) -> Iterator[NDArray[np.int64]]:
    """Row numbers in batches, longest rows first: padding is small and the first batch shows the memory it takes.

    Args:
        lengths: Tokens of each row, [N].
    """
    order = np.argsort(-lengths, kind="stable")
    for start in range(0, len(order), BATCH):
        yield order[start : start + BATCH]
