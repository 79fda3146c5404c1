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

from millis.data.batches import Batch, Rows
from millis.data.positions import asked_inputs, at_targets, targets_of
from millis.distillation.feature_cache import FeatureCache
from millis.distillation.teacher_cache import TeacherLogits
from millis.distillation.term import answer_key, teacher_key
from millis.models.features import Feature, capture
from millis.models.outputs import each
from millis.training.module import VALIDATION, TextModule


class OnlineTeacher(pl.Callback):
    """Runs the teacher on every batch, for when its outputs cannot be cached.

    Logits that a batch has already (cached, or of several teachers) are left as they are.

    Args:
        teacher: The fine-tuned teacher; held in evaluation mode, without gradients.
        features: What of its inside the objective reads.
        rows: The training rows in the teacher's token ids; None where the student's batches hold the same.
    """

    def __init__(self, teacher: Any, features: Collection[Feature] = (), rows: Rows | None = None) -> None:
        self.teacher, self.features, self.rows = teacher.eval(), features, rows

    def on_train_batch_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule, batch: Batch, *_: Any) -> None:
        """Add the logits at targets, [M, C], and the features, each [B, S, width], to the batch."""
        self.teacher.to(pl_module.device)
        own = batch if self.rows is None else self.rows.__getitems__(batch["rows"].tolist())
        inputs = {name: value.to(pl_module.device) for name, value in asked_inputs(own, self.teacher.spec).items()}
        with torch.no_grad(), capture(self.teacher, self.features) as found:
            outputs = each(self.teacher(**inputs))
        asked = targets_of(own)
        for logits, (name, targets) in zip(outputs, asked.items(), strict=bool(asked)):  # or nothing is asked
            batch.setdefault(answer_key(name), at_targets(logits, targets.to(pl_module.device))[0])
        batch.update({teacher_key(feature): value for feature, value in found.items()})


class CachedTeacher(pl.Callback):
    """Joins what was kept of the teacher to every batch.

    Args:
        logits: On the training rows, where they are read.
        features: Of the training rows, where they are read.
    """

    def __init__(self, logits: TeacherLogits | None = None, features: FeatureCache | None = None) -> None:
        self.logits, self.features = logits, features

    def on_train_batch_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule, batch: Batch, *_: Any) -> None:
        """Add logits at targets, [M, C], and features, each [B, S, width], to the batch."""
        rows, found = batch["rows"], dict[str, torch.Tensor]()
        if self.logits is not None:
            found |= {answer_key(output): logits for output, logits in self.logits.batch(rows).items()}
        if self.features is not None:
            found |= {teacher_key(feature): value for feature, value in self.features.batch(rows).items()}
        batch.update({key: value.to(pl_module.device) for key, value in found.items()})


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
