"""Distillation by logits: the labels and the teacher's answers, each with its share."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial

import torch
import torch.nn.functional as F
from torch import Tensor

from millis.data.batches import Batch
from millis.distillation.contract import Pair, Stage
from millis.distillation.logits import LogitLoss, softened_kl
from millis.distillation.weight import Weight, is_share, is_zero, rest
from millis.distillation.weighted_terms import Objective, Term
from millis.errors import MillisError


@dataclass(frozen=True)
class Distillation:
    """(1 - α) · cross-entropy with the labels + α · T² · KL(teacher ‖ student), as in 1503.02531.

    Args:
        alpha: α in [0, 1], the teacher's share. 0 is plain supervised training, with no teacher run at all. Or a
            schedule of `millis.distillation.weight`: from 1 to 0 is teacher annealing (Clark et al. 2019, 1907.04829).
        temperature: T > 0, softens both distributions.
        label_smoothing: In [0, 1), of the cross-entropy.
        balanced: Weight each label's cross-entropy by N / (C · its count), for rare labels.
        cache: Run the teacher over the training rows once and keep its logits; False runs it in every step, which
            augmentation that changes with every epoch would need.
    """

    alpha: Weight = 0.5
    temperature: float = 2.0
    label_smoothing: float = 0.0
    balanced: bool = False
    cache: bool = True

    def __post_init__(self) -> None:
        if not is_share(self.alpha):
            raise MillisError(f"distillation.alpha={self.alpha}: expected 0 (labels only) to 1 (teacher only)")
        if self.temperature <= 0:
            raise MillisError(f"distillation.temperature={self.temperature}: expected above 0; 1 to 8 is usual")
        if not 0 <= self.label_smoothing < 1:
            raise MillisError(f"distillation.label_smoothing={self.label_smoothing}: expected 0 up to 1, 1 excluded")

    @property
    def needs_logits(self) -> bool:
        """Whether a teacher is needed."""
        return not is_zero(self.alpha)

    @property
    def cache_limit_bytes(self) -> float:
        """No features, so nothing to keep beside logits."""
        return 0.0

    def stages(self) -> Sequence[Stage]:
        """Itself alone."""
        return (Stage("distillation", 1.0, self),)

    def objective(self, class_counts: Sequence[int], pair: Pair | None = None) -> Objective:
        """The terms that have weight.

        Args:
            class_counts: Training rows of each label, [C].
            pair: Not read: any student can learn from any teacher's logits.
        """
        return Objective(self.answer_terms(class_counts))

    def answer_terms(self, class_counts: Sequence[int]) -> dict[str, tuple[Weight, Term]]:
        """What teaches the student to answer: labels and the teacher's logits, as far as they have weight."""
        terms: dict[str, tuple[Weight, Term]] = {}
        if not is_zero(labels := rest(self.alpha)):
            weights = balanced_weights(class_counts) if self.balanced else None
            terms["cross_entropy"] = (labels, partial(_cross_entropy, weights, self.label_smoothing))
        if self.needs_logits:
            name, loss = self.answer_loss()
            terms[name] = (self.alpha, partial(_on_logits, loss, self.temperature))
        return terms

    def answer_loss(self) -> tuple[str, LogitLoss]:
        """How far the student's logits are from the teacher's, and the name it is logged under."""
        return "softened_kl", softened_kl


def balanced_weights(class_counts: Sequence[int]) -> Tensor:
    """N / (C · count) for each label, [C]; a label with no rows gets 0. Rows then weigh 1 on average."""
    counts = torch.tensor(class_counts, dtype=torch.float32)
    return torch.where(counts > 0, counts.sum() / (len(counts) * counts.clamp(min=1)), torch.zeros(()))


def _cross_entropy(weights: Tensor | None, smoothing: float, logits: Tensor, batch: Batch) -> Tensor:
    weights = None if weights is None else weights.to(logits.device)
    return F.cross_entropy(logits, batch["labels"], weight=weights, label_smoothing=smoothing)


def _on_logits(loss: LogitLoss, temperature: float, logits: Tensor, batch: Batch) -> Tensor:
    return loss(logits, batch["teacher_logits"], temperature)
