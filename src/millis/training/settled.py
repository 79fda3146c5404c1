"""The best checkpoint, over epochs in which the model has its final form.

A callback that changes the model while it trains (a pruning schedule, quantization-aware training) has `settled: bool`.
A dense model early in a schedule is better than the sparse one it is to become, and is not what was asked for.

Lightning files a callback's state under the name of its class: the names here are those of Lightning's own, so that
runs broken off without a schedule go on.
"""

from typing import Any

import pytorch_lightning as pl
from pytorch_lightning import callbacks
from torch import Tensor


def settled(trainer: pl.Trainer) -> bool:
    """Whether every callback has brought the model to its final form."""
    return all(getattr(callback, "settled", True) for callback in trainer.callbacks)  # type: ignore[attr-defined]


class ModelCheckpoint(callbacks.ModelCheckpoint):
    """Keeps the best of the settled epochs, and the last of all, from which a run goes on."""

    def _save_topk_checkpoint(self, trainer: pl.Trainer, monitor_candidates: dict[str, Tensor]) -> None:
        if settled(trainer):
            super()._save_topk_checkpoint(trainer, monitor_candidates)
        # What Lightning notes after a save, and asks for before it writes `last`: without it an epoch that is not the
        # best leaves nothing to go on from.
        self._last_global_step_saved: Any = trainer.global_step
