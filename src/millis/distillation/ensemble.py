"""Several teachers as one: the logits whose softmax is the mean of theirs (1503.02531, section 5: ensembles)."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from millis.distillation.teacher_cache import TeacherLogits
from millis.errors import MillisError, nearest
from millis.traits import LEVELS, ON_POLICY, has


def ensemble_logits(
    logits: Mapping[str, NDArray[np.float32]], temperature: float = 1.0, weights: Mapping[str, float] | None = None
) -> NDArray[np.float32]:
    """T · ln Σ_k w_k · softmax(z_k / T): logits whose softmax at T is the weighted mean of the softened distributions.

    Distilling from them at temperature T is distilling from the mean of the teachers' softened answers. A mean of
    the logits themselves would be the normalised geometric mean, in which one teacher that rules a label out has its
    way. T · ln of a distribution is one of many logits with that softmax: their level carries nothing, so take no
    `logit_mse` here.

    Args:
        logits: Teacher's name → [N, C].
        temperature: T > 0, that of the distillation.
        weights: Teacher's name → weight, not negative, scaled to sum 1; a teacher that is not named has 1.

    Returns:
        [N, C] float32.

    Raises:
        MillisError: no teacher, shapes that differ, a weight for a teacher that is not there or below 0, all 0.
    """
    if not logits:
        raise MillisError("an ensemble needs at least one teacher; got none")
    shapes = {name: array.shape for name, array in logits.items()}
    if len(set(shapes.values())) > 1:
        listed = ", ".join(f"{name} {shape}" for name, shape in shapes.items())
        raise MillisError(f"the teachers' logits differ in shape ({listed}): expected the same rows and labels of all")
    if temperature <= 0:
        raise MillisError(f"temperature={temperature}: expected above 0")
    shares = _shares(list(logits), weights or {})
    softened = [
        np.log(shares[name]) + _log_softmax(array / temperature) for name, array in logits.items() if shares[name]
    ]
    mean: NDArray[np.float32] = (temperature * np.logaddexp.reduce(softened, axis=0)).astype(np.float32)
    return mean


def ensemble(teachers: Mapping[str, TeacherLogits], temperature: float = 1.0) -> TeacherLogits:
    """Teachers' logits on the same rows as those of one: `ensemble_logits`, or the mean of numbers and vectors."""
    first = next(iter(teachers.values()))
    mixed: list[NDArray[np.float32]] = []
    for index, output in enumerate(first.outputs):
        of_each = {name: teacher.logits[index] for name, teacher in teachers.items()}
        mean: NDArray[np.float32] = np.mean(list(of_each.values()), axis=0).astype(np.float32)
        mixed.append(mean if output.choice in ("value", "vector") else ensemble_logits(of_each, temperature))
    return replace(first, logits=tuple(mixed))


def _shares(names: list[str], weights: Mapping[str, float]) -> dict[str, float]:
    for name, weight in weights.items():
        if name not in names:
            raise MillisError(
                f"weight for the teacher {name!r}, which is not there; expected one of {', '.join(names)}"
                f"{nearest(name, names)}"
            )
        if not weight >= 0:
            raise MillisError(f"weight {weight} of the teacher {name!r}: expected 0 or more")
    given = {name: float(weights.get(name, 1.0)) for name in names}
    total = sum(given.values())
    if not total:
        raise MillisError("every teacher of the ensemble has weight 0: give one a weight above 0")
    return {name: weight / total for name, weight in given.items()}


def _log_softmax(logits: NDArray[np.float32]) -> NDArray[np.float64]:
    values = logits.astype(np.float64)
    shifted: NDArray[np.float64] = values - values.max(axis=-1, keepdims=True)
    logs: NDArray[np.float64] = shifted - np.log(np.exp(shifted).sum(axis=-1, keepdims=True))
    return logs


def check(seeds: Sequence[int], own: int, distillation: Any) -> None:
    """Refuse further teachers that nobody hears, or that would be heard wrongly.

    Args:
        seeds: Of the further teachers.
        own: Of the teacher.

    Raises:
        MillisError: with the reason.
    """
    listed = list(seeds)
    if not any(stage.distillation.needs_logits for stage in distillation.stages()):
        raise MillisError(
            f"ensemble={listed} averages what teachers answer, and this distillation hears no answers. "
            "Choose distillation.alpha above 0, or ensemble=[]"
        )
    if has(distillation, ON_POLICY):
        raise MillisError(
            f"ensemble={listed} averages answers that are kept beforehand, and distillation=on_policy has the student "
            "write what is to be answered. Choose ensemble=[], or another distillation"
        )
    if has(distillation, LEVELS):
        raise MillisError(
            f"ensemble={listed} averages what teachers answer, whose logits have no level of their own, and "
            "distillation.logit_loss=logit_mse fits the level too. Choose softened_kl, reverse_kl or jensen_shannon, "
            "or ensemble=[]"
        )
    if twice := [seed for seed, count in Counter([own, *listed]).items() if count > 1]:
        raise MillisError(
            f"ensemble={listed} beside teacher.seed={own} hears the teacher of seed {twice[0]} twice: expected seeds "
            "that differ"
        )
    if not distillation.cache:
        raise MillisError(
            f"ensemble={listed} with distillation.cache=false would hear one teacher only: an ensemble needs cached "
            "answers. Choose distillation.cache=true, or ensemble=[]"
        )
