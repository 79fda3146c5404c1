"""A toy training that other processes can import: even tokens are label 0, odd tokens label 1."""

import numpy as np
import pytorch_lightning as pl
import torch
from labelled import counted, encoded
from specs import static
from torch import nn

from millis.distillation.objective import Distillation
from millis.errors import MillisError
from millis.training.fit import Fit
from millis.training.module import TextModule
from millis.training.optim import AdamW
from millis.training.processes import Gathered


class Bag(nn.Module):
    """Two layers over the mean of a text's token vectors: [B, S] → [B, 2]. No dropout: nothing but the data decides."""

    def __init__(self, unused=False):
        super().__init__()
        torch.manual_seed(0)
        self.spec = static(vocab_size=12, size=8)
        self.embedding = nn.Embedding(12, 8)
        self.dense = nn.Linear(8, 8)
        self.head = nn.Linear(8, 2)
        if unused:
            self.pooler = nn.Linear(8, 8)

    def forward(self, input_ids, attention_mask, token_type_ids=None):
        mask = attention_mask.unsqueeze(-1)
        mean = (self.embedding(input_ids) * mask).sum(1) / mask.sum(1)
        return self.head(torch.relu(self.dense(mean)))


def percent(predictions, references):
    return 100 * float(np.mean(np.asarray(predictions) == np.asarray(references)))


def toy_module(model=None, alpha=0.0, **settings):
    objective = Distillation(alpha=alpha).objective(counted([1, 1]))
    return TextModule(model or Bag(), objective, AdamW(**{"lr": 0.02, "head_lr": 0.02} | settings), percent)


def toy_split(count, seed=0):
    """Ragged rows of tokens 2..11; one in five has a label by chance, so that not all are ever right."""
    generator = np.random.default_rng(seed)
    labels = generator.integers(0, 2, count)
    rows = [2 * generator.integers(1, 6, generator.integers(1, 6)) + label for label in labels]
    flips = generator.random(count) < 0.2
    return encoded(rows, np.where(flips, 1 - labels, labels))


def toy_training(fit, module, folder, rows=64, callbacks=()):
    return fit(
        module, toy_split(rows), toy_split(31, seed=1), 0,
        folder=folder, seed=3, title="toy", callbacks=callbacks,
    )  # fmt: skip


def failing_training(callback, folder):
    """What a training in two processes fails with."""
    fit = Fit(max_epochs=3, batch_size=8, patience=10, accelerator="cpu", devices=2)
    try:
        toy_training(fit, toy_module(), folder, callbacks=[callback])
    except MillisError as error:
        assert not torch.distributed.is_initialized()
        return str(error)
    raise AssertionError("it ended well")


class DieAt(pl.Callback):
    """Ends the process of one rank, or raises in it, at a step."""

    def __init__(self, rank, step, error=None):
        self.rank, self.step, self.error = rank, step, error

    def on_train_batch_end(self, trainer, *_):
        if (trainer.global_rank, trainer.global_step) == (self.rank, self.step):
            if self.error is None:
                import os

                os.kill(os.getpid(), 9)
            raise self.error


class LoopbackOnly(pl.Callback):
    """Fails in a process that listens where another machine could reach it. Addresses are as the kernel writes them."""

    def on_train_end(self, *_):
        import re
        from pathlib import Path

        links = [str(link.readlink()) for link in Path("/proc/self/fd").iterdir() if link.is_symlink()]
        own = {match[1] for link in links if (match := re.fullmatch(r"socket:\[(\d+)\]", link))}
        loopback = {"tcp": "0100007F", "tcp6": "00000000000000000000000001000000"}
        listening = []
        for family, home in loopback.items():
            for line in Path(f"/proc/net/{family}").read_text().splitlines()[1:]:
                fields = line.split()
                if fields[3] == "0A" and fields[9] in own:
                    listening.append(fields[1].split(":")[0] == home)
        assert listening, "gloo listens for the others: the reader of sockets sees nothing"
        assert all(listening)


def sleep(_):
    """What a follower that has no part does."""
    import time

    time.sleep(600)


class SameEverywhere(pl.Callback):
    """Fails where the processes hold different weights, pruned as they are, when training ends."""

    def on_train_end(self, trainer, pl_module):
        weights = [layer.weight.detach() for layer in pl_module.model.modules() if isinstance(layer, nn.Linear)]
        everyone = Gathered(trainer.world_size)(weights)
        assert len(everyone) == trainer.world_size
        assert all(torch.equal(a, b) for other in everyone for a, b in zip(other, everyone[0], strict=True))


class Unreadable(pl.Callback):
    """Cannot be made again in another process."""

    def __reduce__(self):
        return (_refuse, ())


def _refuse():
    raise ValueError("this callback does not travel")
