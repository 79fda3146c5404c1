"""Batches of similar length: dynamic padding wastes little when neighbours in a batch are equally long."""

import math
from collections.abc import Iterator

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.utils.data import Sampler

from millis.data.encode import TARGETS, Encoded
from millis.data.references import IGNORED
from millis.errors import MillisError

Batch = dict[str, Tensor]
"""`input_ids`, `attention_mask` [B, S] (and `token_type_ids` for pairs), `rows` [B], and targets of each output, such
as `target/logits`, [B] per text and [B, S] per token. Where a teacher is heard, its logits at the targets that are not
ignored (`millis.data.positions`), such as `teacher_logits/logits` [M, C], and features, such as `teacher/hidden/3`
[B, S, D]."""

POOL = 50  # batches sorted by length together: large enough to bucket well, small enough to keep the order random


class LengthBuckets(Sampler[list[int]]):
    """Rows in batches of similar length: shuffle, cut into pools of 50 batches, sort each by length, shuffle batches.

    Args:
        lengths: Tokens of each row, [N].
        batch_size: B; the last batch may be smaller.
        seed: Of the order; each epoch (`set_epoch`, called by Lightning) has its own.
        rank: Which of the processes that train together this one is.
        world: How many there are. Each takes every `world`-th row of every batch, so that together they see the very
            batches that one process would, equally long, without gaps or repeats. Where the last batch has fewer rows
            than there are processes, it is joined to the one before.

    Raises:
        MillisError: fewer rows, or a smaller B, than processes.
    """

    def __init__(self, lengths: NDArray[np.int64], batch_size: int, seed: int, rank: int = 0, world: int = 1) -> None:
        if min(len(lengths), batch_size) < world:
            raise MillisError(
                f"{len(lengths)} rows in batches of {batch_size} cannot be shared among {world} processes: expected at "
                "least one row each. Lower trainer.devices"
            )
        self.lengths, self.batch_size, self.seed, self.epoch = lengths, batch_size, seed, 0
        self.rank, self.world = rank, world

    def __len__(self) -> int:
        return math.ceil(len(self.lengths) / self.batch_size) - self._joins()

    def _joins(self) -> bool:
        """Whether the last batch is too small to be shared."""
        return 0 < len(self.lengths) % self.batch_size < self.world

    def __iter__(self) -> Iterator[list[int]]:
        generator = np.random.default_rng((self.seed, self.epoch))
        order = generator.permutation(len(self.lengths))
        pool = self.batch_size * POOL
        batches = []
        for start in range(0, len(order), pool):
            rows = order[start : start + pool]
            rows = rows[np.argsort(self.lengths[rows], kind="stable")]
            batches += [rows[i : i + self.batch_size] for i in range(0, len(rows), self.batch_size)]
        if self._joins():
            last = batches.pop()
            batches[-1] = np.concatenate([batches[-1], last])
        for i in generator.permutation(len(batches)):
            yield batches[i][self.rank :: self.world].tolist()

    def set_epoch(self, epoch: int) -> None:
        """Give epoch `epoch` its own order."""
        self.epoch = epoch

    @property
    def sampler(self) -> "LengthBuckets":
        """Where Lightning looks for `set_epoch` in a batch sampler."""
        return self


class Rows(torch.utils.data.Dataset[Batch]):
    """An encoded split as a map-style data set whose fetch already returns a padded batch.

    Args:
        encoded: The split.
        pad_id: Token id of padding.
    """

    def __init__(self, encoded: Encoded, pad_id: int) -> None:
        self.encoded, self.pad_id = encoded, pad_id

    def __len__(self) -> int:
        return len(self.encoded)

    def __getitem__(self, row: int) -> Batch:
        return self.__getitems__([row])

    def __getitems__(self, rows: list[int]) -> Batch:
        """The batch of `rows`, padded to its longest."""
        encoded, index = self.encoded, np.asarray(rows)
        starts, lengths = encoded.offsets[index], encoded.lengths[index]
        columns = np.arange(lengths.max())
        mask = columns < lengths[:, None]  # [B, S]
        positions = np.where(mask, starts[:, None] + columns, 0)
        batch = {
            "input_ids": torch.from_numpy(np.where(mask, encoded.ids[positions], self.pad_id).astype(np.int64)),
            "attention_mask": torch.from_numpy(mask.astype(np.int64)),
            "rows": torch.from_numpy(index),
        }
        for output in encoded.outputs:
            values = encoded.targets[output.name]
            found = values[index] if output.per == "text" else np.where(mask, values[positions], IGNORED)
            batch[TARGETS + output.name] = torch.from_numpy(found)
        if encoded.token_types is not None:
            batch["token_type_ids"] = torch.from_numpy(
                np.where(mask, encoded.token_types[positions], 0).astype(np.int64)
            )
        return batch


def model_inputs(batch: Batch) -> Batch:
    """The part of a batch that a model's `forward` takes."""
    return {name: batch[name] for name in ("input_ids", "attention_mask", "token_type_ids") if name in batch}
