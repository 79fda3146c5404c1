"""What a model has to beat to be worth its training: the most frequent label, and a linear model of n-grams."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from millis.metrics import Score
from millis.metrics.bootstrap import paired_difference_interval
from millis.record import Record

MAJORITY = "answering the most frequent label"


def majority(references: Sequence[int] | NDArray[np.int64]) -> NDArray[np.int64]:
    """The same answer to every text: the label that a split has most of. [N] → [N]"""
    return np.full(len(references), np.bincount(references).argmax())


def unbeaten(records: Sequence[Record], score: Score) -> dict[str, str]:
    """Record id → the baseline that it does not beat; records that beat both are left out.

    A record beats the majority class when the 95 % interval of its paired difference lies above zero. It beats the
    linear model when that is so too, or when it is faster and the interval reaches zero: as good, and sooner. Baselines
    themselves are not judged by the linear model.

    Args:
        records: Of one test split.
        score: The quality metric, in percent.
    """
    linear = next((record for record in records if record.kind == "linear"), None)
    found = {}
    for record in records:
        constant = majority(record.references)
        if not paired_difference_interval(score, record.predictions, constant, record.references)[0] > 0:  # nan is none
            found[record.id] = MAJORITY
        elif linear is not None and record.kind not in ("linear", "baseline") and not _beats(record, linear, score):
            found[record.id] = linear.name
    return found


def _beats(record: Record, linear: Record, score: Score) -> bool:
    low, high = paired_difference_interval(score, record.predictions, linear.predictions, record.references)
    faster = record.metrics["latency_p50_ms"] < linear.metrics["latency_p50_ms"]
    return low > 0 or (faster and high >= 0)
