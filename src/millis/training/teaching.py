"""Teaching: how the teacher's outputs reach the training batches, cached where they fit, or on-line."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytorch_lightning as pl

from millis.distillation.contract import Method, Pair
from millis.distillation.feature_cache import cache_bytes, cached_features
from millis.distillation.on_policy import OnPolicy
from millis.distillation.teacher_cache import TeacherLogits
from millis.distillation.weighted_terms import Objective
from millis.training.callbacks import CachedTeacher, OnlineTeacher
from millis.training.on_policy import OwnAnswers
from millis.units import size

LOGITS_BYTES = 2**31  # more are not kept: over a vocabulary each token has thousands


@dataclass(frozen=True)
class Teaching:
    """What `Fit` is given.

    Args:
        callbacks: That add what a teacher says to the batches, after the student has answered its share of them.
        cached: Whether no teacher runs while the student trains.
        message: For the user: what was chosen and why; empty where logits alone are read from the cache, or nothing.
    """

    callbacks: list[pl.Callback]
    cached: bool
    message: str


def teaching(
    method: Method, objective: Objective, pair: Pair, folder: Path, logits: Callable[[], TeacherLogits]
) -> Teaching:
    """Provide what `objective` reads of the teacher.

    Args:
        method: What `objective` came from.
        folder: For cached features; its name should hold the fingerprint of the teacher and the rows.
        logits: The teacher's cached logits on the training rows; called only where they are read.
    """
    features = objective.teacher_features
    if method.needs_logits:
        pair.check_targets()
    if not features and not method.needs_logits:
        return Teaching([], True, "")
    said = logit_bytes(pair) if method.needs_logits else 0
    needed = cache_bytes(features, pair.teacher_sizes, len(pair.teacher_rows.encoded.ids)) if features else 0
    what = f"teacher: {len(features)} features of {len(pair.rows):,} texts, {size(needed)} in half precision"
    if not method.cache or needed > method.cache_limit_bytes or said > LOGITS_BYTES:
        rows = None if pair.teacher_rows is pair.rows else pair.teacher_rows
        kept = method.needs_logits and method.cache and said <= LOGITS_BYTES
        why = (
            "distillation.cache=false"
            if not method.cache
            else f"more than distillation.cache_budget_mb={method.cache_limit_bytes / 1e6:g}"
            if needed > method.cache_limit_bytes
            else f"beside {size(said)} of logits"
        )
        message = f"{what}: {why}, so the teacher runs in every step" if features else ""
        if said > LOGITS_BYTES and not features:
            message = f"teacher: {size(said)} of logits, so it runs in every step"
        before: list[pl.Callback] = [CachedTeacher(logits())] if kept else []
        if isinstance(method, OnPolicy):
            before = [OwnAnswers(method.share, pair.rows.pad_id)]
            message = "the student writes a share of the answers, so the teacher runs in every step"
        return Teaching([*before, OnlineTeacher(pair.teacher, features, rows)], False, message)
    found = cached_features(pair.teacher, pair.teacher_sizes, features, pair.teacher_rows, folder) if features else None
    heard = CachedTeacher(logits() if method.needs_logits else None, found)
    return Teaching([heard], True, f"{what}, cached" if features else "")


def logit_bytes(pair: Pair) -> int:
    """What the teacher's logits at all targets of its rows take, in single precision."""
    rows = pair.teacher_rows.encoded
    widths = [output.width for output in pair.teacher.spec.outputs]
    return sum(4 * int(rows.positions(one)[-1]) * width for one, width in zip(rows.outputs, widths, strict=True))
