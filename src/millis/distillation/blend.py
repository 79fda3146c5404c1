"""Blend: answers of the teacher and of a linear model, averaged where that is better on validation.

A linear model of n-grams errs elsewhere than an encoder does, and on texts of which the encoder's pre-training saw few
it may err less. With p the two models' probabilities, a student learns from

    log q = (1 - w) · log p_teacher + w · log p_linear + constant

(the normalised geometric mean), w chosen on the validation split. On the training rows the linear model answers as one
that was fitted without them would (cross-fitting): fitted with them it would repeat their labels.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from millis.metrics.paired import standard_error

Logits = NDArray[np.float32]
WEIGHTS = tuple(step / 10 for step in range(10))


@dataclass(frozen=True)
class Blend:
    """How the two are averaged.

    Args:
        weight: w, the linear model's share; 0 leaves the teacher alone.
        quality: Of the blend on validation; more is better.
        alone: Of the teacher.
    """

    weight: float = 0.0
    quality: float = 0.0
    alone: float = 0.0

    def note(self) -> str | None:
        """What a reader should know of students that learned from it."""
        if not self.weight:
            return None
        return (
            f"learned from the teacher and the linear model together, {1 - self.weight:.1f} : {self.weight:.1f}, which "
            f"have {self.quality:.1f} on validation where the teacher alone has {self.alone:.1f}"
        )


def best_blend(
    teacher: Logits, linear: Logits, references: NDArray[np.int64], score: Callable[[list[int], list[int]], float]
) -> Blend:
    """The best weight on validation; 0 unless its gain is more than the standard error of the difference.

    Args:
        teacher, linear: Logits on the validation rows, [N, C].
        references: Labels, [N].
        score: The quality metric, negated where lower is better.
    """
    answers = {weight: blended(teacher, linear, weight).argmax(axis=1) for weight in WEIGHTS}
    quality = {weight: score(found.tolist(), references.tolist()) for weight, found in answers.items()}
    best = max(WEIGHTS, key=lambda weight: (quality[weight], -weight))
    error = standard_error(answers[best] == references, answers[0.0] == references)
    if quality[best] - quality[0.0] <= error:
        best = 0.0
    return Blend(best, quality[best], quality[0.0])


def blended(teacher: Logits, linear: Logits, weight: float) -> Logits:
    """log q up to a constant a row, [N, C]; the teacher's own logits where `weight` is 0."""
    if not weight:
        return teacher
    mixed = (1 - weight) * _log_probabilities(teacher) + weight * _log_probabilities(linear)
    return mixed.astype(np.float32)


def _log_probabilities(logits: Logits) -> NDArray[np.float64]:
    shifted = logits.astype(np.float64) - logits.max(axis=1, keepdims=True)
    found: NDArray[np.float64] = shifted - np.log(np.exp(shifted).sum(axis=1, keepdims=True))
    return found
