"""Adversarial training: every batch is learned twice, the second time with word vectors moved where it hurts most.

For a text with word vectors s [S, D]: g = ∂loss/∂s, r = radius · g / ||g||, and what is minimised is
loss(s) + loss(s + r) (Miyato, Dai and Goodfellow 2017, 1605.07725, equations 5 and 6: the direction is that of the true
label's loss, its length the same for every text; word vectors are used as they are, not normalised as in section 3).
A step costs two forward and two backward passes.
"""

from typing import Any

import pytorch_lightning as pl
import torch
from torch import Tensor, nn

from millis.data.batches import Batch
from millis.errors import MillisError
from millis.training.added import add_gradient
from millis.training.module import TextModule

EPSILON = 1e-12  # a text whose loss has no gradient is not moved


class Adversarial(pl.Callback):
    """Adds the gradients of the perturbed batch to those of the plain one.

    Args:
        radius: Length of r, in the unit of word vectors (all-MiniLM-L6-v2's have a length of about 1.1).

    Raises:
        MillisError: a radius that is not above 0; a model without word vectors; several processes.
    """

    def __init__(self, radius: float) -> None:
        if radius <= 0:
            raise MillisError(
                f"trainer.adversarial={radius}: expected a length above 0, such as 0.2, or null for no adversarial "
                "training"
            )
        self.radius = radius
        self.vectors: Tensor | None = None  # [B, S, D], of the plain pass, with their gradient after it
        self.offset: Tensor | None = None  # [B, S, D], during the second pass

    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Listen to the model's word vectors."""
        if trainer.world_size > 1:
            raise MillisError(
                f"trainer.adversarial={self.radius} on {trainer.world_size} processes: gradients of a second pass are "
                "not exchanged between them. Choose trainer.devices=1, or trainer.adversarial=null"
            )
        tables = (part for part in pl_module.modules() if isinstance(part, nn.Embedding))
        table = next(tables, None)
        if table is None:
            raise MillisError(
                f"trainer.adversarial={self.radius} moves word vectors, and this model has none. Choose "
                "trainer.adversarial=null"
            )
        self.handle = table.register_forward_hook(self._listen)

    def on_train_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Leave the model as it was."""
        self.handle.remove()

    def on_train_batch_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule, batch: Batch, *_: Any) -> None:
        """Remember what the second pass reads too."""
        self.batch = batch

    def on_after_backward(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """The second pass."""
        assert isinstance(pl_module, TextModule) and self.vectors is not None
        gradient = self.vectors.grad
        assert gradient is not None
        length = gradient.flatten(1).norm(dim=1).view(-1, *[1] * (gradient.dim() - 1))
        self.offset = self.radius * gradient / (length + EPSILON)
        try:
            with trainer.precision_plugin.train_step_context():
                loss, _ = pl_module.loss(self.batch)
            add_gradient(trainer, loss)
        finally:
            self.offset = self.vectors = None
        pl_module.log("train/adversarial", loss.detach(), batch_size=len(self.batch["rows"]))

    def _listen(self, table: nn.Module, inputs: Any, output: Tensor) -> Tensor | None:
        if not torch.is_grad_enabled():  # a teacher, or validation
            return None
        if self.offset is not None:
            return output + self.offset
        if not output.requires_grad:  # frozen embeddings
            output.requires_grad_()
        output.retain_grad()
        self.vectors = output
        return output
