"""Quality metrics that work offline: one a file, each a function named like its file, with bootstrap intervals.

A metric file defines `<name>(predictions, references) -> float`: label indices [N] int64 in, a percentage out (nan
where the metric is undefined). One that must know something about the labels takes it as a further argument, which
its `context(labels)` finds, so that a label set it cannot work with is refused before anything is trained.

The same function is behind `load` (an `evaluate.Metric`, for whoever speaks that library), `score` (validation and
test) and `scorer` (the bootstrap). `evaluate` takes seconds to import, so only `load` imports it.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import cache, partial
from importlib import import_module
from math import isnan
from pkgutil import iter_modules
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np
from numpy.typing import ArrayLike, NDArray

from millis.errors import MillisError
from millis.metrics._labels import checked

if TYPE_CHECKING:
    import evaluate

Score: TypeAlias = Callable[[NDArray[np.int64], NDArray[np.int64]], float]
"""Predictions [N] and references [N] (label indices) → the metric's value."""


@cache
def shipped() -> tuple[str, ...]:
    """Names of the metrics that ship with millis: the files of this package that define a function of their name."""
    names = (module.name for module in iter_modules(__path__) if not module.name.startswith("_"))
    return tuple(name for name in names if hasattr(import_module(f"{__name__}.{name}"), name))


def load(name: str, labels: Sequence[str] = (), **options: Any) -> evaluate.Metric:
    """The metric as an `evaluate.Metric`.

    Args:
        name: A shipped metric (percentages), or what `evaluate.load` takes: a Hub metric or a folder with a metric
            script (values in that metric's own unit).
        labels: Label names; a label's position is its index. Needed by the out-of-scope metrics.
        options: For `evaluate.load` or `evaluate.Metric`, such as `config_name="sst2"`.

    Raises:
        MillisError: no such metric within reach, or the labels lack what the metric needs.
    """
    from millis.metrics import _evaluate

    if name not in shipped():
        return _evaluate.load(name, shipped(), **options)
    scorer(name, labels)  # refuses labels that lack what the metric needs
    return _evaluate.Shipped(name, labels, score, **options)


def score(name: str, predictions: ArrayLike, references: ArrayLike, labels: Sequence[str] = ()) -> float:
    """The metric's value on checked input: the function to train, validate and test with.

    Args:
        name: As for `load`.
        predictions: Predicted label indices [N].
        references: True label indices [N].
        labels: Label names; where given, indices beyond them are refused.

    Returns:
        A percentage for a shipped metric (matthews: -100..100), the metric's own unit otherwise.

    Raises:
        MillisError: no such metric, labels that lack what it needs, input that is empty, of unequal lengths or not
            label indices, or a metric that is undefined on these references.
    """
    compute = scorer(name, labels)
    value = compute(*checked(predictions, references, labels))
    if isnan(value):
        raise MillisError(
            f"{name} is undefined on these {np.size(references)} references: they hold none of the items it is taken "
            "over. Evaluate on a split that has some, or choose another metric"
        )
    return value


def scorer(name: str, labels: Sequence[str] = ()) -> Score:
    """The bare number behind `name`, without checks: quick enough to be called for every bootstrap resample.

    Raises:
        MillisError: no such metric, or the labels lack what it needs. Call it before training to hear of that early.
    """
    if name not in shipped():
        from millis.metrics import _evaluate

        return _evaluate.scorer(name, load(name, labels))
    module = import_module(f"{__name__}.{name}")
    known: dict[str, Any] = module.context(labels) if hasattr(module, "context") else {}
    return partial(getattr(module, name), **known)
