"""Pruning as a Lightning callback: masks change between steps, whatever is trained and however."""

import math
from typing import Any

import pytorch_lightning as pl
import torch
from torch import nn

from millis.pruning.recipe import Pruning
from millis.training.added import add_gradient, loss_scale
from millis.training.module import planned_steps
from millis.training.optim import PARAMETRIZATION


class PruningCallback(pl.Callback):
    """Prunes `module.model` on schedule. `pruning.finish(module.model)` takes the masks off afterwards.

    Masks are set before the first step and after every step that the schedule names; a criterion's penalty is
    differentiated after the backward pass of the loss, from the end of the warm-up on. Logged: `pruning/sparsity` and
    `pruning/sparsity/<layer>` with every validation, and `pruning/penalty`.

    Args:
        pruning: The recipe.

    Members:
        settled: Whether masks are final.
    """

    def __init__(self, pruning: Pruning) -> None:
        self.pruning = pruning
        self.settled = False

    def setup(self, trainer: pl.Trainer, pl_module: pl.LightningModule, stage: str) -> None:
        """Put masks on the model, before a checkpoint is restored into it and before there is an optimizer."""
        if stage == "fit":
            self.masks = self.pruning.attach(_model(pl_module))

    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Plan, now that the length of training is known; go on where a resumed run stands."""
        epoch = math.ceil(trainer.num_training_batches / trainer.accumulate_grad_batches)
        self.plan = self.pruning.plan(planned_steps(trainer, pl_module), epoch)
        # What was drawn before training (by whoever tried the model out) may lie on another device.
        self.masks.criterion.update(1.0)
        self.step = trainer.global_step
        if self.step == 0:
            self._advance()
        elif self.step >= self.plan.end:
            self._settle()

    def on_after_backward(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Add the penalty's gradients, and let the criterion see those of the loss."""
        if self.settled:
            return
        wanted = self.pruning.sparsity * self.plan.share(self.step)
        penalty = self.masks.criterion.pressure(wanted) if wanted > 0 else None
        if penalty is not None:
            add_gradient(trainer, penalty)
            pl_module.log("pruning/penalty", penalty.detach())
        self.masks.criterion.update(loss_scale(trainer))

    def on_train_batch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule, *_: Any) -> None:
        """Prune, if a step was made and the schedule names it."""
        if trainer.global_step != self.step:
            self.step = trainer.global_step
            self._advance()

    def on_validation_epoch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Log what is pruned."""
        if trainer.sanity_checking:
            return
        overall, groups = self.masks.sparsity()
        pl_module.log("pruning/sparsity", overall)
        for name, sparsity in groups.items():
            pl_module.log(f"pruning/sparsity/{name}", sparsity)

    def _advance(self) -> None:
        if self.plan.is_due(self.step):
            self.pruning.prune(self.masks, self.plan.share(self.step))
        if self.step >= self.plan.end:
            self._settle()

    def _settle(self) -> None:
        self.settled = True
        self.masks.settle()


class KeepZeros(pl.Callback):
    """Keeps pruned weights at zero through a training that comes after the one that pruned them.

    Args:
        model: What is trained; a weight that is 0 in a matrix of its now stays 0.
    """

    def __init__(self, model: nn.Module) -> None:
        self.zeros = {name: value == 0 for name, value in model.named_parameters() if value.dim() > 1}

    @torch.no_grad()
    def on_train_batch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule, *_: Any) -> None:
        """Set them to zero again: momentum and weight decay move every weight."""
        for name, parameter in _model(pl_module).named_parameters():
            plain = PARAMETRIZATION.sub(r"\1", name)
            if plain in self.zeros:
                parameter.masked_fill_(self.zeros[plain].to(parameter.device), 0.0)


def _model(module: Any) -> Any:
    return module.model
