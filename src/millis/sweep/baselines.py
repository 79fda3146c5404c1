"""What a model has to beat to be worth its training: the most frequent label, and a linear model of n-grams."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from millis.metrics.bootstrap import paired_difference_interval
from millis.metrics.contract import AnyMetric
from millis.record import Record

MAJORITY = "answering the most frequent label"


def majority(references: Sequence[int] | NDArray[np.int64]) -> NDArray[np.int64]:
    """The same answer to every text: the label that a split has most of. [N] → [N]"""
    return np.full(len(references), np.bincount(references).argmax())


def unbeaten(records: Sequence[Record], metric: AnyMetric) -> dict[str, str]:
    """Record id → the baseline that it does not beat; records that beat both are left out.

    A record beats the majority class when the 95 % interval of its paired difference lies above zero. It beats the
    linear model when that is so too, or when it is faster and the interval reaches zero: as good, and sooner. Baselines
    themselves are not judged by the linear model.

    Args:
        records: Of one test split.
        metric: That of their quality.
    """
    linear = next((record for record in records if record.kind == "linear"), None)
    found = {}
    for record in records:
        constant = majority(record.references)
        low, _ = paired_difference_interval(metric, record.predictions, constant, record.references)
        if not low > 0:  # nan is none
            found[record.id] = MAJORITY
        elif linear is not None and record.kind not in ("linear", "baseline") and not _beats(record, linear, metric):
            found[record.id] = linear.name
    return found


def _beats(record: Record, linear: Record, metric: AnyMetric) -> bool:
    low, high = paired_difference_interval(metric, record.predictions, linear.predictions, record.references)
    faster = record.metrics["latency_p50_ms"] < linear.metrics["latency_p50_ms"]
    return low > 0 or (faster and high >= 0)
