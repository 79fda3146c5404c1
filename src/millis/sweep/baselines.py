"""What a model has to beat to be worth its training: the most frequent label, and a linear model of n-grams."""

from collections import Counter
from collections.abc import Collection, Sequence
from itertools import chain
from math import isnan
from typing import Any

import numpy as np

from millis.metrics import blind, kinds_of
from millis.metrics._labels import LABEL, Kind
from millis.metrics.bootstrap import paired_difference_interval
from millis.metrics.contract import AnyMetric, Items, items, plain
from millis.record import Record


def majority(references: Sequence[Any] | Items, kinds: Collection[Kind]) -> Items:
    """The same answer to every text: the label, or the set of labels, that a split has most of, the tag for every word,
    the mean of numbers, one score for all candidates, which is worth what a random order is; of texts the one that is
    right, or the first of those that are, most often; how likely a text is has no such answer, and none is a number.
    [N] → [N]

    Args:
        kinds: What the references may be; sets of labels and tags of words look alike.
    """
    actual = items(references)
    if (measured := _of_measures(actual, kinds)) is not None:
        return measured
    if "written" in kinds:
        actual = items([value if isinstance(value, str) else value[0] for value in actual])
    if actual.dtype != object:
        return np.full(len(actual), np.bincount(actual).argmax())
    if any(isinstance(part, tuple) for value in actual for part in value):
        of_words: tuple[Kind, ...] = ("tags",)
        labels, tags = zip(*actual, strict=True)
        return items(list(zip(majority(labels, LABEL), majority(tags, of_words), strict=True)))
    if "tags" not in kinds:
        ((most, _),) = Counter(actual).most_common(1)
        return items([most] * len(actual))
    ((top, _),) = Counter(chain.from_iterable(actual)).most_common(1)
    return items([(top,) * len(value) for value in actual])


def _of_measures(actual: Items, kinds: Collection[Kind]) -> Items | None:
    """As `majority`, of what is no choice among answers; None of any other."""
    if "likelihood" in kinds:
        return items([(float("nan"), 1, 1)] * len(actual))
    if "number" in kinds:
        return np.full(len(actual), np.mean(np.asarray(actual, np.float64)))
    return items([(0.0,) * len(value) for value in actual]) if "scores" in kinds else None


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
        constant = majority(record.references, kinds_of(record))
        if not _beats_constant(record, constant, metric):
            found[record.id] = blind(record.quality)
        elif linear is not None and record.kind not in ("linear", "baseline") and not _beats(record, linear, metric):
            found[record.id] = linear.name
    return found


def _beats_constant(record: Record, constant: Items, metric: AnyMetric) -> bool:
    """Whether the interval lies above zero; true where the metric is undefined for a constant, as correlations are."""
    if isnan(plain(metric, constant, items(record.references))):
        return True
    low, _ = paired_difference_interval(metric, record.predictions, constant, record.references)
    return low > 0


def _beats(record: Record, linear: Record, metric: AnyMetric) -> bool:
    low, high = paired_difference_interval(metric, record.predictions, linear.predictions, record.references)
    faster = record.metrics["latency_p50_ms"] < linear.metrics["latency_p50_ms"]
    return low > 0 or (faster and high >= 0)
