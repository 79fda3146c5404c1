"""The LightningModule: a model, an objective and an optimizer. No compression method is named here."""

from collections.abc import Callable, Sequence
from typing import Any

import pytorch_lightning as pl
import torch
from torch import Tensor, nn

from millis.data.batches import Batch, model_inputs
from millis.distillation.objective import Objective
from millis.training.optim import AdamW

Score = Callable[[Sequence[int], Sequence[int]], float]
"""Predictions and references in, the quality metric in percent out."""

VALIDATION = "validation/quality"


class TextModule(pl.LightningModule):
    """Trains `model` on batches of token ids.

    Args:
        model: `forward(input_ids, attention_mask[, token_type_ids]) -> logits` [B, C].
        objective: What is minimised; every term is logged unweighted as `train/<term>`.
        optimizer: Makes the optimizer and its schedule once the number of steps is known.
        score: The quality metric, logged as `validation/quality` after every epoch.
    """

    def __init__(self, model: nn.Module, objective: Objective, optimizer: AdamW, score: Score) -> None:
        super().__init__()
        self.model, self.objective, self.optimizer, self.score = model, objective, optimizer, score
        self._seen: list[tuple[Tensor, Tensor]] = []

    def training_step(self, batch: Batch, _: int) -> Tensor:
        """The objective on one batch."""
        total, terms = self.objective(self.model(**model_inputs(batch)), batch)
        self.log("train/objective", total.detach(), batch_size=len(batch["labels"]))
        for name, value in terms.items():
            self.log(f"train/{name}", value, batch_size=len(batch["labels"]))
        return total

    def validation_step(self, batch: Batch, _: int) -> None:
        """Keep predictions; a metric such as macro-F1 is not a mean over batches."""
        logits = self.model(**model_inputs(batch))
        self._seen.append((logits.argmax(-1).cpu(), batch["labels"].cpu()))

    def on_validation_epoch_end(self) -> None:
        """Score the whole validation split at once."""
        predictions, references = (torch.cat(parts).tolist() for parts in zip(*self._seen, strict=True))
        self._seen.clear()
        self.log(VALIDATION, self.score(predictions, references))

    def configure_optimizers(self) -> Any:
        """The optimizer, its rate set anew after every step."""
        scaled = getattr(self.trainer.precision_plugin, "scaler", None) is not None
        steps = int(self.trainer.estimated_stepping_batches)
        optimizer, schedule = self.optimizer(self.model, steps, fused=not scaled)
        return {"optimizer": optimizer, "lr_scheduler": {"scheduler": schedule, "interval": "step"}}

    def configure_gradient_clipping(
        self, optimizer: Any, gradient_clip_val: float | None = None, gradient_clip_algorithm: str | None = None
    ) -> None:
        """Clip by norm. Lightning refuses to with any fused optimizer under mixed precision; unscaled bf16 is safe."""
        if gradient_clip_val:
            torch.nn.utils.clip_grad_norm_(self.model.parameters(), gradient_clip_val)
