"""The data module under a real Trainer: every row once an epoch, and a new order in each."""

from itertools import chain

import labelled
import numpy as np
import pytorch_lightning as pl
import torch

from millis.data.module import SplitsModule
from millis.training.callbacks import CachedTeacher

ROWS = [[2] + [4] * (i % 7) + [3] for i in range(30)]


def splits(encoded):
    return SplitsModule(encoded(ROWS, range(30)), encoded(ROWS[:10]), 0, batch_size=4, seed=3)


def trainer(max_epochs, **options):
    return pl.Trainer(
        max_epochs=max_epochs, accelerator="cpu", logger=False, enable_checkpointing=False, enable_progress_bar=False,
        enable_model_summary=False, num_sanity_val_steps=0, **options,
    )  # fmt: skip


def test_training_batches(encoded):
    batches = list(splits(encoded).train_dataloader())
    assert [len(batch["rows"]) for batch in batches].count(4) == 7  # 30 = 7 * 4 + 2
    assert sorted(torch.cat([batch["rows"] for batch in batches]).tolist()) == list(range(30))
    for batch in batches:
        assert torch.equal(batch["target/logits"], batch["rows"])
        assert batch["attention_mask"].sum(1).tolist() == [len(ROWS[row]) for row in batch["rows"]]


def test_validation_batches_are_four_times_as_large(encoded):
    batches = list(splits(encoded).val_dataloader())
    assert [len(batch["rows"]) for batch in batches] == [10]  # 4 * 4 would fit


class Spy(pl.LightningModule):
    """Trains nothing; notes which rows came in which order, and what a teacher says of them."""

    def __init__(self):
        super().__init__()
        self.weight = torch.nn.Parameter(torch.zeros(()))
        self.seen, self.heard, self.validated = [], [], []

    def training_step(self, batch, _):
        while len(self.seen) <= self.current_epoch:
            self.seen.append([])
        self.seen[self.current_epoch].append(batch["rows"].tolist())
        self.heard.append((batch["rows"], batch.get("teacher_logits/logits")))
        return self.weight * 0

    def validation_step(self, batch, _):
        self.validated.append(batch)

    def configure_optimizers(self):
        return torch.optim.SGD(self.parameters(), lr=0.1)


def test_a_trainer_sees_every_row_once_an_epoch_and_each_epoch_in_its_own_order(encoded):
    spy = Spy()
    trainer(3, limit_val_batches=0).fit(spy, splits(encoded))
    assert all(sorted(chain(*epoch)) == list(range(30)) for epoch in spy.seen)
    assert spy.seen[0] != spy.seen[1] != spy.seen[2] != spy.seen[0]


def test_a_teacher_is_heard_on_each_training_row_and_on_no_validation_row(encoded):
    spy, data = Spy(), splits(encoded)
    cached = labelled.said(np.arange(60, dtype=np.float32).reshape(30, 2))
    trainer(1, callbacks=[CachedTeacher(cached)]).fit(spy, data)
    assert len(spy.heard) == 8
    assert all(torch.equal(found[:, 0], 2.0 * index) for index, found in spy.heard)
    assert [sorted(batch["rows"].tolist()) for batch in spy.validated] == [list(range(10))]
    assert not [name for name in spy.validated[0] if "teacher" in name]
