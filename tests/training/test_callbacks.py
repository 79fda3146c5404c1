"""The online teacher against the cached one, and the lines that say how training goes."""

import re

import numpy as np
import pytest
import pytorch_lightning as pl
import torch
from specs import static
from torch import nn

from millis.data.batches import Rows
from millis.distillation.logits import softened_kl
from millis.distillation.teacher_cache import teacher_logits
from millis.training.callbacks import CachedTeacher, OnlineTeacher, Progress
from millis.training.fit import Fit


class Table(nn.Module):
    """Logits looked up by the first token: nothing that padding or the batch could change in the last digit."""

    def __init__(self):
        super().__init__()
        self.spec = static(vocab_size=12, size=2)
        self.table = nn.Parameter(torch.randn(12, 2, generator=torch.Generator().manual_seed(1)))

    def forward(self, input_ids, attention_mask):
        return self.table[input_ids[:, 0]]


class Losses(pl.Callback):
    """The distillation term of every step."""

    def __init__(self):
        self.seen = []

    def on_train_batch_end(self, trainer, *_):
        self.seen.append(trainer.callback_metrics["train/softened_kl"].item())


@pytest.fixture
def train(module, separable, tmp_path):
    def run(folder, callbacks):
        losses, split, built = Losses(), separable(32), module(alpha=0.5)
        Fit(max_epochs=2, batch_size=8, accelerator="cpu")(
            built, split, split, 0,
            folder=tmp_path / folder, seed=0, title="toy", callbacks=[*callbacks, losses],
        )  # fmt: skip
        return losses.seen, built

    return run


def test_the_online_teacher_gives_exactly_the_losses_of_the_cached_one(train, separable, tmp_path):
    logits = teacher_logits(Table(), separable(32), 0, tmp_path / "logits.npz")
    cached, one = train("cached", callbacks=[CachedTeacher(logits)])
    online, two = train("online", callbacks=[OnlineTeacher(Table())])
    assert len(cached) == 2 * 4
    assert cached == online
    for left, right in zip(one.model.parameters(), two.model.parameters(), strict=True):
        assert torch.equal(left, right)


def test_a_teacher_that_pads_agrees_to_rounding(bag, separable, tmp_path):
    split, teacher = separable(40), bag(seed=5)
    (cached,) = teacher_logits(teacher, split, 0, tmp_path / "logits.npz").logits
    batch = Rows(split, 0).__getitems__([7, 1, 30])
    OnlineTeacher(teacher).on_train_batch_start(pl.Trainer(logger=False), pl.LightningModule(), batch, 0)
    found = batch["teacher_logits/logits"]
    assert not found.requires_grad
    np.testing.assert_allclose(found.numpy(), cached[[7, 1, 30]], rtol=1e-5, atol=1e-6)
    student = torch.zeros(3, 2)
    online, offline = (softened_kl(student, logits, 2.0) for logits in (found, torch.tensor(cached[[7, 1, 30]])))
    assert online.item() == pytest.approx(offline.item(), rel=1e-5)


def test_the_teacher_neither_learns_nor_drops(train):
    teacher = Table().train()
    before = teacher.table.detach().clone()
    train("run", callbacks=[OnlineTeacher(teacher)])
    assert not teacher.training
    assert torch.equal(teacher.table, before)
    assert teacher.table.grad is None


def test_one_line_an_epoch_on_standard_error(train, capsys):
    train("run", callbacks=[OnlineTeacher(Table())])
    lines = capsys.readouterr().err.splitlines()
    expected = [rf"  toy  epoch {n}/2  loss \d+\.\d{{3}}  validation \d+\.\d\d  \d+ s" for n in (1, 2)]
    assert len(lines) == 2
    assert all(re.fullmatch(pattern, line) for pattern, line in zip(expected, lines, strict=True)), lines


def test_a_continued_run_takes_over_its_past():
    first = Progress("toy")
    first.history.append({"epoch": 1, "validation/quality": 50.0})
    first.started -= 100
    second = Progress("toy")
    second.load_state_dict(first.state_dict())
    assert second.history == first.history
    assert second.seconds >= 100
