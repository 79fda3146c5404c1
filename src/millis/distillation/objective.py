"""What training minimises: named, weighted terms, each logged unweighted."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial

import torch
import torch.nn.functional as F
from torch import Tensor

from millis.data.batches import Batch
from millis.distillation.logits import softened_kl
from millis.errors import MillisError

Term = Callable[[Tensor, Batch], Tensor]
"""Student logits [B, C] and the batch in, a scalar out."""


class Objective:
    """Σ weight · term.

    Args:
        terms: Name → (weight, term).
    """

    def __init__(self, terms: Mapping[str, tuple[float, Term]]) -> None:
        self.terms = dict(terms)

    def __call__(self, logits: Tensor, batch: Batch) -> tuple[Tensor, dict[str, Tensor]]:
        """The weighted sum, and each term before its weight."""
        values = {name: term(logits, batch) for name, (_, term) in self.terms.items()}
        total = torch.stack([self.terms[name][0] * value for name, value in values.items()]).sum()
        return total, {name: value.detach() for name, value in values.items()}


@dataclass(frozen=True)
class Distillation:
    """(1 - α) · cross-entropy with the labels + α · T² · KL(teacher ‖ student), as in 1503.02531.

    Args:
        alpha: α in [0, 1], the teacher's share. 0 is plain supervised training, with no teacher run at all.
        temperature: T > 0, softens both distributions.
        label_smoothing: In [0, 1), of the cross-entropy.
        balanced: Weight each label's cross-entropy by N / (C · its count), for rare labels.
        cache: Run the teacher over the training rows once and keep its logits; False runs it in every step, which
            augmentation that changes with every epoch would need.
    """

    alpha: float = 0.5
    temperature: float = 2.0
    label_smoothing: float = 0.0
    balanced: bool = False
    cache: bool = True

    def __post_init__(self) -> None:
        if not 0 <= self.alpha <= 1:
            raise MillisError(f"distillation.alpha={self.alpha}: expected 0 (labels only) to 1 (teacher only)")
        if self.temperature <= 0:
            raise MillisError(f"distillation.temperature={self.temperature}: expected above 0; 1 to 8 is usual")
        if not 0 <= self.label_smoothing < 1:
            raise MillisError(f"distillation.label_smoothing={self.label_smoothing}: expected 0 up to 1, 1 excluded")

    def objective(self, class_counts: Sequence[int]) -> Objective:
        """The terms that have weight.

        Args:
            class_counts: Training rows of each label, [C].
        """
        terms: dict[str, tuple[float, Term]] = {}
        if self.alpha < 1:
            weights = balanced_weights(class_counts) if self.balanced else None
            terms["cross_entropy"] = (1 - self.alpha, partial(_cross_entropy, weights, self.label_smoothing))
        if self.alpha > 0:
            terms["softened_kl"] = (self.alpha, partial(_softened_kl, self.temperature))
        return Objective(terms)


def balanced_weights(class_counts: Sequence[int]) -> Tensor:
    """N / (C · count) for each label, [C]; a label with no rows gets 0. Rows then weigh 1 on average."""
    counts = torch.tensor(class_counts, dtype=torch.float32)
    return torch.where(counts > 0, counts.sum() / (len(counts) * counts.clamp(min=1)), torch.zeros(()))


def _cross_entropy(weights: Tensor | None, smoothing: float, logits: Tensor, batch: Batch) -> Tensor:
    weights = None if weights is None else weights.to(logits.device)
    return F.cross_entropy(logits, batch["labels"], weight=weights, label_smoothing=smoothing)


def _softened_kl(temperature: float, logits: Tensor, batch: Batch) -> Tensor:
    return softened_kl(logits, batch["teacher_logits"], temperature)
