"""Quantization-aware training as a Lightning callback: rounding goes in before the first step, ranges come to rest."""

from typing import Any

import pytorch_lightning as pl
from torch import nn

from millis.errors import MillisError
from millis.quantization.arithmetic import Arithmetic
from millis.quantization.phase import moves, set_phase
from millis.quantization.rounding import is_prepared, prepare
from millis.quantization.spec import Quantization
from millis.training.module import planned_steps


class QuantizationCallback(pl.Callback):
    """Trains `module.model` with the rounding of `quantization`. `qat.convert(module.model)` takes it out afterwards.

    Everything that it decides follows from the step, and every range and learned step lies in the model, so a run goes
    on from a checkpoint as if it had not been broken off.

    Args:
        quantization: With `aware` set.
        arithmetic: The backend's, for `quantization`.

    Members:
        settled: Whether the model rounds, and all ranges and learned steps are at rest.

    Raises:
        MillisError: no `aware`.
    """

    def __init__(self, quantization: Quantization, arithmetic: Arithmetic) -> None:
        if quantization.aware is None:
            raise MillisError(
                "quantization-aware training got a quantization without `aware`. Choose a recipe that has it, such as "
                "quantization=qat"
            )
        self.quantization, self.arithmetic, self.aware = quantization, arithmetic, quantization.aware
        self.settled = False

    def setup(self, trainer: pl.Trainer, pl_module: pl.LightningModule, stage: str) -> None:
        """Put rounding into the model, before a checkpoint is restored into it and before there is an optimizer."""
        if stage == "fit" and not is_prepared(_model(pl_module)):
            prepare(_model(pl_module), self.quantization, self.arithmetic)

    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Begin, or go on where a resumed run stands."""
        self._enter_phase(trainer, pl_module)

    def on_train_batch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule, *_: Any) -> None:
        """The phase of the next step; after the last one ranges are at rest, however short training was."""
        self._enter_phase(trainer, pl_module)

    def _enter_phase(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        model, total = _model(pl_module), planned_steps(trainer, pl_module)
        enabled = trainer.global_step >= round(self.aware.start_after * total)
        frozen = trainer.global_step >= round(self.aware.freeze_after * total)
        set_phase(model, enabled, frozen)
        self.settled = enabled and (frozen or not moves(model))


def _model(module: pl.LightningModule) -> nn.Module:
    model: Any = module.model
    return model  # type: ignore[no-any-return]
