"""Training a few of a model's weights and leaving the others as they are."""

import pytorch_lightning as pl
from torch import nn


class TrainOnly(pl.Callback):
    """Freezes every weight whose name does not begin with `prefix`, for one training.

    Weights that were frozen before stay so. Dropout goes on: the trained weights are to answer for noisy states too.

    Args:
        model: The student.
        prefix: Of the names of the weights that are trained, such as `exits.`.
    """

    def __init__(self, model: nn.Module, prefix: str) -> None:
        self.frozen = [
            parameter
            for name, parameter in model.named_parameters()
            if not name.startswith(prefix) and parameter.requires_grad
        ]
        self._require(False)

    def on_fit_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Let the weights go."""
        self._require(True)

    def _require(self, gradients: bool) -> None:
        for parameter in self.frozen:
            parameter.requires_grad_(gradients)
