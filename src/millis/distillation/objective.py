"""Distillation by logits: the labels and the teacher's answers, each with its share."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor

from millis.data.batches import Batch
from millis.data.encode import Encoded
from millis.data.positions import TEMPERATURE, at_targets, loss_at, targets_of
from millis.data.references import IGNORED
from millis.distillation.contract import Pair, Stage
from millis.distillation.logits import LogitLoss, softened_kl
from millis.distillation.term import answer_key
from millis.distillation.weight import Weight, is_share, is_zero, rest, scaled
from millis.distillation.weighted_terms import Objective, Term
from millis.errors import MillisError
from millis.models.outputs import CHOICES
from millis.traits import SCHEDULED, Traits
from millis.types import Choice, Output


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
    def traits(self) -> Traits:
        """Whether its share is a schedule."""
        return (SCHEDULED,) if callable(self.alpha) else ()

    @property
    def cache_limit_bytes(self) -> float:
        """No features, so nothing to keep beside logits."""
        return 0.0

    def stages(self) -> Sequence[Stage]:
        """Itself alone."""
        return (Stage("distillation", 1.0, self),)

    def objective(self, rows: Encoded, pair: Pair | None = None) -> Objective:
        """The terms that have weight.

        Args:
            rows: What the student trains on.
            pair: Not read: any student can learn from any teacher's logits.
        """
        return Objective(self.answer_terms(rows))

    def answer_terms(self, rows: Encoded) -> dict[str, tuple[Weight, Term]]:
        """What teaches the student to answer: labels and the teacher's logits, as far as they have weight.

        Of several outputs each has terms of its own, named `cross_entropy_tags`, with the output's weight.
        """
        terms: dict[str, tuple[Weight, Term]] = {}
        for index, output in enumerate(rows.outputs):
            after = "" if len(rows.outputs) == 1 else f"_{output.name}"
            if not is_zero(labels := rest(self.alpha)):
                weights = balanced_weights(rows.targets[output.name], output) if self.balanced else None
                loss: Compare = partial(_cross_entropy, weights, self.label_smoothing)
                terms[f"{LABEL_TERMS.get(output.choice, 'cross_entropy')}{after}"] = (
                    scaled(labels, output.weight),
                    partial(_at_targets, index, loss),
                )
            if self.needs_logits:
                name, compare = (
                    ("teacher_error", ERRORS[output.choice]) if output.choice in ERRORS else self.answer_loss()
                )
                term = partial(_at_targets, index, partial(_on_logits, compare, self.temperature))
                terms[f"{name}{after}"] = (scaled(self.alpha, output.weight), term)
        return terms

    def answer_loss(self) -> tuple[str, LogitLoss]:
        """How far the student's logits are from the teacher's, and the name it is logged under."""
        return "softened_kl", softened_kl


def balanced_weights(targets: NDArray[Any], output: Output) -> Tensor:
    """N / (C · count) for each of C categories, [C]; one without targets gets 0. Targets then weigh 1 on average.

    Where a text may have several labels, the two categories are to have one and to have it not.

    Raises:
        MillisError: targets are numbers or vectors.
    """
    if output.choice in ERRORS:
        asked = CHOICES[output.choice]
        raise MillisError(f"distillation.balanced=true weighs labels, and the task asks for {asked}: expected false")
    width = 2 if output.choice == "each" else output.width
    counts = torch.from_numpy(np.bincount(targets[targets != IGNORED].astype(np.int64), minlength=width)).float()
    return torch.where(counts > 0, counts.sum() / (len(counts) * counts.clamp(min=1)), torch.zeros(()))


Compare = Callable[[Tensor, Tensor, Tensor | None], Tensor]
"""Logits [M, C], targets [M] and the teacher's logits [M, C], where there is one, in; a scalar out."""


def _at_targets(index: int, compare: Compare, outputs: Sequence[Tensor], batch: Batch) -> Tensor:
    """`compare` at the positions of output `index`; 0 where a batch has none."""
    name, wanted = list(targets_of(batch).items())[index]
    logits, targets = at_targets(outputs[index], wanted)
    if not len(targets):
        return logits.sum()
    return compare(logits, targets, batch.get(answer_key(name)))


def _cross_entropy(
    weights: Tensor | None, smoothing: float, logits: Tensor, targets: Tensor, _: Tensor | None
) -> Tensor:
    weights = None if weights is None else weights.to(logits.device)
    return loss_at(logits, targets, weight=weights, label_smoothing=smoothing)


def _squared_error(student: Tensor, teacher: Tensor, _: float) -> Tensor:
    """Half the mean squared error between numbers, [M, 1] both."""
    return F.mse_loss(student, teacher) / 2


def _angle(student: Tensor, teacher: Tensor, _: float) -> Tensor:
    """1 - the mean cosine of vectors, [M, C] both, over the temperature at which the labels' loss compares them."""
    return (1 - F.cosine_similarity(student.float(), teacher.float(), dim=1)).mean() / TEMPERATURE


LABEL_TERMS: dict[Choice, str] = {"value": "squared_error", "vector": "contrast"}  # else `cross_entropy`
ERRORS: dict[Choice, LogitLoss] = {"value": _squared_error, "vector": _angle}  # in place of a loss over logits


def _on_logits(loss: LogitLoss, temperature: float, logits: Tensor, _: Tensor, teacher: Tensor | None) -> Tensor:
    assert teacher is not None, "a batch holds what the teacher says where a term reads it"
    return loss(logits, teacher, temperature)
