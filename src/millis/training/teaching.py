"""Teaching: how the teacher's outputs reach the training batches, cached where they fit, or on-line."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytorch_lightning as pl
from numpy.typing import NDArray

from millis.distillation.contract import Method, Pair
from millis.distillation.feature_cache import cache_bytes, cached_features
from millis.distillation.weighted_terms import Objective
from millis.training.callbacks import CachedTeacher, OnlineTeacher
from millis.units import size


@dataclass(frozen=True)
class Teaching:
    """What `Fit` is given.

    Args:
        teacher_logits: [N, C] to join to the batches, or None.
        callbacks: That add everything else a teacher says.
        cached: Whether no teacher runs while the student trains.
        message: For the user: what was chosen and why; empty where logits alone are read from the cache, or nothing.
    """

    teacher_logits: NDArray[np.float32] | None
    callbacks: list[pl.Callback]
    cached: bool
    message: str


def teaching(
    method: Method, objective: Objective, pair: Pair, folder: Path, logits: Callable[[], NDArray[np.float32]]
) -> Teaching:
    """Provide what `objective` reads of the teacher.

    Args:
        method: What `objective` came from.
        folder: For cached features; its name should hold the fingerprint of the teacher and the rows.
        logits: The teacher's cached logits on the training rows, [N, C]; called only where they are read.
    """
    features = objective.teacher_features
    if not features and not method.needs_logits:
        return Teaching(None, [], True, "")
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
        kept = logits() if method.needs_logits and method.cache else None
        return Teaching(kept, [OnlineTeacher(pair.teacher, features, rows)], False, message)
    callbacks: list[pl.Callback] = []
    if features:
        callbacks.append(
            CachedTeacher(cached_features(pair.teacher, pair.teacher_sizes, features, pair.teacher_rows, folder))
        )
    return Teaching(logits() if method.needs_logits else None, callbacks, True, f"{what}, cached" if features else "")
