"""The teacher's outputs on the training rows: computed once, not once an epoch, and kept on disk."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from millis.data.batches import Rows
from millis.data.encode import Encoded
from millis.data.positions import asked_inputs, at_targets, likeliest, targets_of
from millis.distillation.shards import Parts, made_together
from millis.models.outputs import each
from millis.store import atomic_file, cached
from millis.types import Output

BATCH = 128
SHARD = 16  # batches that one worker claims together: some seconds of a small teacher's time


@dataclass(frozen=True)
class TeacherLogits:
    """What a teacher says of rows, at the targets that are not ignored.

    Args:
        outputs: Of the task.
        logits: Of each output, [M, C], row after row.
        positions: Of each output, where each row's lie among these, [N + 1].
    """

    outputs: tuple[Output, ...]
    logits: tuple[NDArray[np.float32], ...]
    positions: tuple[NDArray[np.int64], ...]

    @property
    def categories(self) -> list[Any]:
        """The likeliest of each row (`millis.data.positions.likeliest`), [N]."""
        return likeliest(self.outputs, self.logits, self.positions)

    def batch(self, rows: Tensor) -> dict[str, Tensor]:
        """Output → logits [M, C] of the rows [B]."""
        index = rows.cpu().numpy()
        every = zip(self.outputs, self.logits, self.positions, strict=True)
        return {output.name: torch.from_numpy(found[spans(ends, index)]) for output, found, ends in every}


def teacher_logits(teacher: Any, rows: Encoded, pad_id: int, path: Path) -> TeacherLogits:
    """Logits of `teacher` on every row, float32, in row order; read from `path` where they lie already.

    Workers that ask at the same time make them together. Batches are the same whoever makes them, so the result is that
    of one worker, bit for bit where all compute alike (the same processor and number of threads).

    Args:
        path: `.npz` file; its name should hold the fingerprint of the teacher and the rows.
    """
    batches, shards = Rows(rows, pad_id), shards_of(rows.lengths)
    positions = tuple(rows.positions(output) for output in rows.outputs)
    teacher.eval()
    device = next(teacher.parameters()).device

    def make(shard: int) -> list[NDArray[np.float32]]:
        parts = []
        for index in shards[shard]:
            batch = batches.__getitems__(index.tolist())
            with torch.inference_mode():
                inputs = asked_inputs(batch, teacher.spec)
                outputs = each(teacher(**{name: value.to(device) for name, value in inputs.items()}))
            asked = zip(outputs, targets_of(batch).values(), strict=True)
            parts.append([at_targets(logits.float().cpu(), targets)[0].numpy() for logits, targets in asked])
        return [np.concatenate(part) for part in zip(*parts, strict=True)]

    def join(read: Callable[[int], Parts]) -> None:
        order = np.concatenate([index for shard in shards for index in shard])
        made = [np.concatenate(parts) for parts in zip(*map(read, range(len(shards))), strict=True)]
        placed = {}
        for output, found, ends in zip(rows.outputs, made, positions, strict=True):
            placed[output.name] = np.empty_like(found)
            placed[output.name][spans(ends, order)] = found
        with atomic_file(path) as temporary, temporary.open("wb") as file:
            np.savez(file, allow_pickle=False, **placed)

    made_together(path, len(shards), path.is_file, make, join)
    with cached(path), np.load(path, allow_pickle=False) as arrays:
        found = tuple(arrays[output.name] for output in rows.outputs)
    return TeacherLogits(rows.outputs, found, positions)


def spans(ends: NDArray[np.int64], index: NDArray[np.int64]) -> NDArray[np.int64]:
    """What belongs to some rows among all that lie end to end.

    Args:
        ends: Row i has `ends[i]:ends[i + 1]`, [N + 1].
        index: Rows, [B].
    """
    starts, lengths = ends[index], ends[index + 1] - ends[index]
    columns = np.arange(lengths.max(initial=0))
    found: NDArray[np.int64] = (starts[:, None] + columns)[columns < lengths[:, None]]
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
