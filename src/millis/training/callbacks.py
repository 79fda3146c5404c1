"""Callbacks: what happens around training steps without the module knowing."""

import sys
import time
from typing import Any

import pytorch_lightning as pl
import torch
from torch import nn

from millis.data.batches import Batch, model_inputs
from millis.training.module import VALIDATION, TextModule


class OnlineTeacher(pl.Callback):
    """Runs the teacher on every batch, for when its outputs cannot be cached.

    Args:
        teacher: The fine-tuned teacher; held in evaluation mode, without gradients.
    """

    def __init__(self, teacher: nn.Module) -> None:
        self.teacher = teacher.eval()

    def on_train_batch_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule, batch: Batch, *_: Any) -> None:
        """Add `teacher_logits` [B, C] to the batch."""
        self.teacher.to(pl_module.device)
        with torch.no_grad():
            batch["teacher_logits"] = self.teacher(**model_inputs(batch))


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
