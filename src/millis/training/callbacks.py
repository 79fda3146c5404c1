"""Callbacks: what happens around training steps without the module knowing."""

import signal
import sys
import threading
import time
from collections.abc import Collection
from typing import Any

import numpy as np
import pytorch_lightning as pl
import torch
from torch import nn

from millis.data.batches import Batch, Rows, model_inputs
from millis.distillation.feature_cache import FeatureCache
from millis.distillation.term import teacher_key
from millis.models.features import Feature, capture
from millis.training.module import VALIDATION, TextModule


class OnlineTeacher(pl.Callback):
    """Runs the teacher on every batch, for when its outputs cannot be cached.

    Logits that a batch has already (cached, or of several teachers) are left as they are.

    Args:
        teacher: The fine-tuned teacher; held in evaluation mode, without gradients.
        features: What of its inside the objective reads.
        rows: The training rows in the teacher's token ids; None where the student's batches hold the same.
    """

    def __init__(self, teacher: nn.Module, features: Collection[Feature] = (), rows: Rows | None = None) -> None:
        self.teacher, self.features, self.rows = teacher.eval(), features, rows

    def on_train_batch_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule, batch: Batch, *_: Any) -> None:
        """Add `teacher_logits` [B, C] and the features, each [B, S, width], to the batch."""
        self.teacher.to(pl_module.device)
        own = batch if self.rows is None else self.rows.__getitems__(batch["rows"].tolist())
        inputs = {name: value.to(pl_module.device) for name, value in model_inputs(own).items()}
        with torch.no_grad(), capture(self.teacher, self.features) as found:
            logits = self.teacher(**inputs)
        batch.setdefault("teacher_logits", logits)
        batch.update({teacher_key(feature): value for feature, value in found.items()})


class CachedTeacher(pl.Callback):
    """Joins the teacher's cached features to every batch.

    Args:
        features: Of the training rows.
    """

    def __init__(self, features: FeatureCache) -> None:
        self.features = features

    def on_train_batch_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule, batch: Batch, *_: Any) -> None:
        """Add the features, each [B, S, width], to the batch."""
        found = self.features.batch(batch["rows"])
        batch.update({teacher_key(feature): value.to(pl_module.device) for feature, value in found.items()})


class Noise(pl.Callback):
    """Seeds every epoch's dropout, and whatever else is drawn in steps, by itself: a run that is continued from an
    epoch goes on as an unbroken one.

    Args:
        seed: Of the run.
        rank: Of the process: all of them would drop the same units out.
    """

    def __init__(self, seed: int, rank: int = 0) -> None:
        self.seed, self.rank = seed, rank

    def on_train_batch_start(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, batch: Batch, batch_idx: int
    ) -> None:
        """Seed PyTorch's generators, those of GPUs included; what loads batches has drawn from them by then."""
        if batch_idx == 0:
            mixed = np.random.SeedSequence([self.seed, self.rank, trainer.current_epoch]).generate_state(1)
            torch.manual_seed(int(mixed[0]))


class OwnSignals(pl.Callback):
    """Puts the process's own handling of SIGTERM back, in place of Lightning's.

    That one leaves training with status 0, and among several processes talks to the others from within the handler,
    in the middle of whatever they are exchanging.
    """

    def setup(self, trainer: pl.Trainer, pl_module: pl.LightningModule, stage: str) -> None:
        """Remember it."""
        self.own = signal.getsignal(signal.SIGTERM)

    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Put it back; Lightning has set its own by now."""
        if threading.current_thread() is threading.main_thread():
            signal.signal(signal.SIGTERM, self.own)


class Progress(pl.Callback):
    """One line an epoch: what trains, how far, loss, quality, time; live on a terminal.

    Args:
        title: What is training.
    """

    def __init__(self, title: str) -> None:
        self.title, self.started, self.shown = title, time.monotonic(), 0.0
        self.history: list[dict[str, float]] = []

    @property
    def seconds(self) -> float:
        """Time trained, that of a run this one continues included."""
        return time.monotonic() - self.started

    def state_dict(self) -> dict[str, Any]:
        """What a continued run takes over."""
        return {"history": self.history, "seconds": self.seconds}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Go on from `state_dict`."""
        self.history, self.started = state_dict["history"], time.monotonic() - state_dict["seconds"]

    def on_train_batch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule, *_: Any) -> None:
        """Refresh the live line twice a second."""
        if sys.stderr.isatty() and time.monotonic() - self.shown > 0.5:
            self.shown = time.monotonic()
            done, total = trainer.global_step, int(trainer.estimated_stepping_batches)
            left = self.seconds / max(done, 1) * (total - done)
            self._line(trainer, f"step {done}/{total}, about {left:.0f} s left", "\r")

    def on_validation_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Write the epoch's line."""
        if trainer.sanity_checking or not isinstance(pl_module, TextModule):
            return
        values = {name: float(value) for name, value in trainer.callback_metrics.items()}
        self.history.append({"epoch": trainer.current_epoch + 1, "seconds": self.seconds, **values})
        loss = values.get("train/objective", float("nan"))
        self._line(trainer, f"loss {loss:.3f}  validation {values[VALIDATION]:.2f}  {self.seconds:.0f} s", "\n")

    def _line(self, trainer: pl.Trainer, text: str, end: str) -> None:
        clear = "\r\x1b[K" if sys.stderr.isatty() else ""
        epoch = f"epoch {trainer.current_epoch + 1}/{trainer.max_epochs}"
        print(f"{clear}  {self.title}  {epoch}  {text}", end=end, file=sys.stderr, flush=True)
