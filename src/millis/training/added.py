"""Adding to a loss after its backward pass, as a callback does."""

from typing import Any

import pytorch_lightning as pl
from torch import Tensor


def loss_scale(trainer: pl.Trainer) -> float:
    """What gradients are multiplied by under fp16; else 1."""
    scaler: Any = getattr(trainer.precision_plugin, "scaler", None)
    return 1.0 if scaler is None else float(scaler.get_scale())


def add_gradient(trainer: pl.Trainer, term: Tensor) -> None:
    """Differentiate `term`, scaled, and divided among accumulated batches, as the loss was."""
    (term * loss_scale(trainer) / trainer.accumulate_grad_batches).backward()  # type: ignore[no-untyped-call]
