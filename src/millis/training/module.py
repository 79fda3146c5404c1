"""The LightningModule: a model, an objective and an optimizer. No compression method is named here."""

from collections.abc import Callable, Sequence
from operator import itemgetter
from statistics import mean
from typing import Any

import numpy as np
import pytorch_lightning as pl
import torch
from numpy.typing import NDArray
from torch import Tensor

from millis.data.batches import Batch
from millis.data.positions import answers, asked_inputs, by_degrees
from millis.distillation.term import student_key
from millis.distillation.weighted_terms import Answering, Objective
from millis.models.features import capture
from millis.models.outputs import each
from millis.training.optim import AdamW
from millis.training.processes import Gathered

Score = Callable[[Sequence[Any], Sequence[Any]], float]
"""Answers and targets of the whole validation split, in its order, in (`millis.data.positions.answers`); a quality out
of which more is better."""

VALIDATION = "validation/quality"


class TextModule(pl.LightningModule):
    """Trains `model` on batches of token ids.

    Args:
        model: `forward(input_ids, attention_mask[, token_type_ids]) -> logits`, a tensor or a tuple of several.
        objective: What is minimised; every term is logged unweighted as `train/<term>`. What it learns itself (a
            projection between widths) is trained at the head's rate.
        optimizer: Makes the optimizer and its schedule once the number of steps is known.
        score: The quality metric, negated where lower is better, logged as `validation/quality` after every epoch:
            epochs are selected by the largest. Where the objective says what is judged, it is the mean over these;
            where the objective trains no answers (the first of two stages), -(the epoch's mean objective) takes its
            place: the metric would be that of an untrained head.
    """

    def __init__(self, model: Any, objective: Objective, optimizer: AdamW, score: Score) -> None:
        super().__init__()
        self.model, self.objective, self.optimizer, self.score = model, objective, optimizer, score
        self.steps = 1  # of the whole training, known once it begins
        self.planned = 1  # those that were planned, wherever the end was moved since: what schedules go by
        self.right: NDArray[np.float64] = np.zeros(0)  # share of the models that are, a validation row, [N]
        self._seen: list[tuple[list[int], list[int], list[Any], list[Any]]] = []
        self._objectives: list[Tensor] = []

    def loss(self, batch: Batch) -> tuple[Tensor, dict[str, Tensor]]:
        """The objective on one batch, and its terms unweighted."""
        with capture(self.model, self.objective.student_features) as found:
            outputs = each(self.model(**asked_inputs(batch, self.model.spec)))
        features = {student_key(feature): value for feature, value in found.items()}
        loss: tuple[Tensor, dict[str, Tensor]]
        loss = self.objective(outputs, {**batch, **features}, min(1.0, self.global_step / self.steps))
        return loss

    def training_step(self, batch: Batch, _: int) -> Tensor:
        """The objective on one batch, logged."""
        total, terms = self.loss(batch)
        self._objectives.append(total.detach())
        size = len(batch["rows"])
        self.log("train/objective", total.detach(), batch_size=size, sync_dist=True)
        for name, value in terms.items():
            self.log(f"train/{name}", value, batch_size=size, sync_dist=True)
        return total

    def validation_step(self, batch: Batch, _: int) -> None:
        """Keep predictions; a metric such as macro-F1 is not a mean over batches."""
        if not self.objective.answers:
            return
        rows: list[int] = batch["rows"].tolist()
        for number, model in enumerate(self._judged):
            outputs = each(model(**asked_inputs(batch, self.model.spec)))
            self._seen.append(([number] * len(rows), rows, *answers(outputs, batch, self.model.spec)))

    def on_validation_epoch_end(self) -> None:
        """Score the whole validation split at once, in every process alike, whichever answered which row."""
        gathered = Gathered(self.trainer.world_size)
        objectives = torch.stack(self._objectives) if self._objectives else torch.zeros(1)
        objective = mean(gathered(float(objectives.mean())))
        self._objectives.clear()
        seen = [row for batches in gathered(self._seen) for batch in batches for row in zip(*batch, strict=True)]
        self._seen.clear()
        if not self.objective.answers:
            self.log(VALIDATION, -objective)
            return
        ordered, size = sorted(seen, key=itemgetter(0, 1)), len(seen) // len(self._judged)
        models = [ordered[begin : begin + size] for begin in range(0, len(ordered), size)]
        if not by_degrees(ordered[0][-1]):
            self.right = np.mean([[answer == right for *_, answer, right in model] for model in models], axis=0)
        columns = [[[*map(itemgetter(place), model)] for place in (2, 3)] for model in models]  # answers, references
        self.log(VALIDATION, mean(self.score(*pair) for pair in columns))

    @property
    def _judged(self) -> Sequence[Answering]:
        """What answers validation texts."""
        return self.objective.judged or (self.model,)

    def configure_optimizers(self) -> Any:
        """The optimizer, its rate set anew after every step."""
        scaled = getattr(self.trainer.precision_plugin, "scaler", None) is not None
        self.steps = self.planned = max(1, int(self.trainer.estimated_stepping_batches))
        optimizer, schedule = self.optimizer(self.model, self.steps, fused=not scaled, beside=self.objective)
        return {"optimizer": optimizer, "lr_scheduler": {"scheduler": schedule, "interval": "step"}}

    def configure_gradient_clipping(
        self, optimizer: Any, gradient_clip_val: float | None = None, gradient_clip_algorithm: str | None = None
    ) -> None:
        """Clip by norm. Lightning refuses to with any fused optimizer under mixed precision; unscaled bf16 is safe."""
        if gradient_clip_val:
            torch.nn.utils.clip_grad_norm_(self.parameters(), gradient_clip_val)


def planned_steps(trainer: pl.Trainer, module: pl.LightningModule) -> int:
    """Steps that were planned when training began, wherever its end has been moved since: what schedules go by."""
    return module.planned if isinstance(module, TextModule) else int(trainer.estimated_stepping_batches)
