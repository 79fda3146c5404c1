"""The data module under a real Trainer: every row once an epoch, and a new order in each."""

from itertools import chain

import numpy as np
import pytest
import pytorch_lightning as pl
import torch

from millis.data.module import SplitsModule

ROWS = [[2] + [4] * (i % 7) + [3] for i in range(30)]


def splits(encoded, logits=None):
    return SplitsModule(encoded(ROWS, range(30)), encoded(ROWS[:10]), 0, batch_size=4, seed=3, teacher_logits=logits)


def test_training_batches(encoded):
    logits = np.arange(60, dtype=np.float32).reshape(30, 2)
    batches = list(splits(encoded, logits).train_dataloader())
    assert [len(batch["rows"]) for batch in batches].count(4) == 7  # 30 = 7 * 4 + 2
    assert sorted(torch.cat([batch["rows"] for batch in batches]).tolist()) == list(range(30))
    for batch in batches:
        assert torch.equal(batch["labels"], batch["rows"])
        assert torch.equal(batch["teacher_logits"][:, 0], 2.0 * batch["rows"])
        assert batch["attention_mask"].sum(1).tolist() == [len(ROWS[row]) for row in batch["rows"]]


def test_validation_batches_are_four_times_as_large_and_have_no_teacher(encoded):
    batches = list(splits(encoded, np.zeros((30, 2), np.float32)).val_dataloader())
    assert [len(batch["rows"]) for batch in batches] == [10]  # 4 * 4 would fit
    assert "teacher_logits" not in batches[0]


class Spy(pl.LightningModule):
    """Trains nothing; notes which rows came in which order."""

    def __init__(self):
        super().__init__()
        self.weight = torch.nn.Parameter(torch.zeros(()))
        self.seen = []

    def training_step(self, batch, _):
        while len(self.seen) <= self.current_epoch:
            self.seen.append([])
        self.seen[self.current_epoch].append(batch["rows"].tolist())
        return self.weight * 0

    def configure_optimizers(self):
        return torch.optim.SGD(self.parameters(), lr=0.1)


@pytest.mark.filterwarnings("ignore:You passed in a `val_dataloader`")
def test_a_trainer_sees_every_row_once_an_epoch_and_each_epoch_in_its_own_order(encoded):
    spy = Spy()
    trainer = pl.Trainer(
        max_epochs=3, accelerator="cpu", logger=False, enable_checkpointing=False, enable_progress_bar=False,
        enable_model_summary=False, num_sanity_val_steps=0, limit_val_batches=0,
    )  # fmt: skip
    trainer.fit(spy, splits(encoded))
    assert all(sorted(chain(*epoch)) == list(range(30)) for epoch in spy.seen)
    assert spy.seen[0] != spy.seen[1] != spy.seen[2] != spy.seen[0]
