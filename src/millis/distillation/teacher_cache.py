"""The teacher's outputs on the training rows: computed once, not once an epoch, and kept on disk."""

from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from millis.data.batches import Rows, model_inputs
from millis.data.encode import Encoded
from millis.distillation.shards import Parts, made_together
from millis.store import atomic_file, cached

BATCH = 128
SHARD = 16  # batches that one worker claims together: some seconds of a small teacher's time


def teacher_logits(teacher: nn.Module, rows: Encoded, pad_id: int, path: Path) -> NDArray[np.float32]:
    """Logits of `teacher` on every row, [N, C] float32, in row order; read from `path` where they lie already.

    Workers that ask at the same time make them together. Batches are the same whoever makes them, so the result is that
    of one worker, bit for bit where all compute alike (the same processor and number of threads).

    Args:
        path: `.npy` file; its name should hold the fingerprint of the teacher and the rows.
    """
    batches, shards = Rows(rows, pad_id), shards_of(rows.lengths)
    teacher.eval()
    device = next(teacher.parameters()).device

    def make(shard: int) -> list[NDArray[np.float32]]:
        outputs = []
        for index in shards[shard]:
            inputs = model_inputs(batches.__getitems__(index.tolist()))
            with torch.inference_mode():
                logits = teacher(**{name: value.to(device) for name, value in inputs.items()})
            outputs.append(logits.float().cpu().numpy())
        return [np.concatenate(outputs)]

    def join(read: Callable[[int], Parts]) -> None:
        made = np.concatenate([read(shard)[0] for shard in range(len(shards))])
        outputs = np.empty_like(made)
        outputs[np.concatenate([index for shard in shards for index in shard])] = made
        with atomic_file(path) as temporary, temporary.open("wb") as file:
            np.save(file, outputs)

    made_together(path, len(shards), path.is_file, make, join)
    with cached(path):
        found: NDArray[np.float32] = np.load(path, allow_pickle=False)
    return found


def shards_of(lengths: NDArray[np.int64]) -> list[list[NDArray[np.int64]]]:
    """The batches of `longest_first`, in the groups that workers claim."""
    batches = list(longest_first(lengths))
    return [batches[start : start + SHARD] for start in range(0, len(batches), SHARD)]


def longest_first(lengths: NDArray[np.int64]) -> Iterator[NDArray[np.int64]]:
    """Row numbers in batches, longest rows first: padding is small and the first batch shows the memory it takes.

    Args:
        lengths: Tokens of each row, [N].
    """
    order = np.argsort(-lengths, kind="stable")
    for start in range(0, len(order), BATCH):
        yield order[start : start + BATCH]
