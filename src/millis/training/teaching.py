"""Teaching: how the teacher's outputs reach the training batches, cached where they fit, or on-line."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytorch_lightning as pl

from millis.distillation.contract import Method, Pair
from millis.distillation.feature_cache import cache_bytes, cached_features
from millis.distillation.teacher_cache import TeacherLogits
from millis.distillation.weighted_terms import Objective
from millis.training.callbacks import CachedTeacher, OnlineTeacher
from millis.units import size


@dataclass(frozen=True)
class Teaching:
    """What `Fit` is given.

    Args:
        callbacks: That add what a teacher says to the batches.
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
    needed = cache_bytes(features, pair.teacher_sizes, len(pair.teacher_rows.encoded.ids)) if features else 0
    what = f"teacher: {len(features)} features of {len(pair.rows):,} texts, {size(needed)} in half precision"
    if not method.cache or needed > method.cache_limit_bytes:
        rows = None if pair.teacher_rows is pair.rows else pair.teacher_rows
        why = (
            "distillation.cache=false"
            if not method.cache
            else f"more than distillation.cache_budget_mb={method.cache_limit_bytes / 1e6:g}"
        )
        message = f"{what}: {why}, so the teacher runs in every step" if features else ""
        kept = [CachedTeacher(logits())] if method.needs_logits and method.cache else []
        return Teaching([*kept, OnlineTeacher(pair.teacher, features, rows)], False, message)
    found = cached_features(pair.teacher, pair.teacher_sizes, features, pair.teacher_rows, folder) if features else None
    heard = CachedTeacher(logits() if method.needs_logits else None, found)
    return Teaching([heard], True, f"{what}, cached" if features else "")
