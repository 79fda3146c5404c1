"""Encoded splits as a LightningDataModule."""

from typing import Any

import pytorch_lightning as pl
from torch.utils.data import DataLoader

from millis.data.batches import Batch, LengthBuckets, Rows
from millis.data.encode import Encoded


class SplitsModule(pl.LightningDataModule):
    """Training and validation batches.

    Args:
        train, validation: Encoded splits.
        pad_id: Token id of padding.
        batch_size: B, in training, over all processes together; validation uses four times as many, for it keeps no
            activations.
        seed: Of the order of training batches.
    """

    def __init__(
        self,
        train: Encoded,
        validation: Encoded,
        pad_id: int,
        batch_size: int,
        seed: int,
    ) -> None:
        super().__init__()
        self.train = Rows(train, pad_id)
        self.validation = Rows(validation, pad_id)
        self.batch_size, self.seed = batch_size, seed

    def train_dataloader(self) -> DataLoader[Batch]:
        """Shuffled, bucketed by length."""
        buckets = LengthBuckets(self.train.encoded.lengths, self.batch_size, self.seed, *self._place())
        return DataLoader(self.train, batch_sampler=buckets, collate_fn=_as_is)

    def val_dataloader(self) -> DataLoader[Batch]:
        """Every row once, bucketed by length."""
        buckets = LengthBuckets(self.validation.encoded.lengths, 4 * self.batch_size, 0, *self._place())
        return DataLoader(self.validation, batch_sampler=buckets, collate_fn=_as_is)

    def _place(self) -> tuple[int, int]:
        """Rank and number of the processes that train together."""
        return (0, 1) if self.trainer is None else (self.trainer.global_rank, self.trainer.world_size)


def _as_is(batch: Any) -> Any:
    """`Rows` pads while it gathers, so there is nothing left to collate."""
    return batch
