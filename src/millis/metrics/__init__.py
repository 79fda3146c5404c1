"""Quality metrics that work offline: one a file, each a class named like its file, with bootstrap intervals.

`contract` says what a metric is, and `accuracy.py` with its class `Accuracy` is the shortest. `named` makes one over a
data set's labels, and refuses those it cannot work with before anything is trained; `metric_of` makes that of records,
which hold all it has to know. `score` is its value on checked input, and `load` wraps it as an `evaluate.Metric` for
whoever speaks that library. `evaluate` takes seconds to import, so nothing else imports it.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from functools import cache
from importlib import import_module
from math import isnan
from pkgutil import iter_modules
from typing import TYPE_CHECKING, Any

from numpy.typing import ArrayLike

from millis import schema
from millis.errors import MillisError, nearest
from millis.metrics._labels import LABEL, Kind, checked, numbered
from millis.metrics.contract import AnyMetric, Foreign, Items, Metric, matched, plain
from millis.record import Judged, Record, listed

if TYPE_CHECKING:
    import evaluate


@cache
def shipped() -> tuple[str, ...]:
    """Names of the metrics that ship with millis: the files of this package that have a class of their name."""
    names = (module.name for module in iter_modules(__path__) if not module.name.startswith("_"))
    return tuple(name for name in names if hasattr(import_module(f"{__name__}.{name}"), _class_name(name)))


def kind(name: str) -> type[Metric]:
    """The class of a shipped metric: `macro_f1` → `millis.metrics.macro_f1.MacroF1`."""
    found: type[Metric] = getattr(import_module(f"{__name__}.{name}"), _class_name(name))
    return found


def named(name: str, labels: Sequence[str], answers: Kind = "label") -> AnyMetric:
    """The metric over a data set's labels.

    Args:
        name: As for `load`.
        labels: Label names, or tags; one's position is its index.
        answers: What is to be judged.

    Raises:
        MillisError: no such metric, one that judges other answers, or the labels lack what it needs. Call it before
            training to hear of that early.
    """
    if name in shipped():
        found = kind(name)
        if answers not in found.judges:
            fitting = [other for other in shipped() if answers in kind(other).judges]
            raise MillisError(
                f"task.metric={name} judges {' or '.join(found.judges)}, and this task answers {answers} a text. "
                f"Choose one of {', '.join(fitting)}"
            )
        return found.of(labels)
    if answers != "label":
        fitting = [other for other in shipped() if answers in kind(other).judges]
        raise MillisError(
            f"task.metric={name} is unknown to tasks that answer {answers} a text: expected one of "
            f"{', '.join(fitting)}{nearest(name, fitting)}"
        )
    from millis.metrics import _evaluate

    return _evaluate.foreign(name, shipped())


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
    named(name, labels or numbered())  # refuses labels that lack what the metric needs
    return _evaluate.Shipped(name, labels, kind(name), score, **options)


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
    answers, actual = checked(predictions, references, labels)
    return value(name, named(name, labels or numbered(answers, actual)), answers, actual)


def value(name: str, metric: AnyMetric, answers: Sequence[Any] | Items, references: Sequence[Any] | Items) -> float:
    """A metric's value.

    Args:
        name: For the error.
        answers: What was answered, [N].
        references: What is right, [N].

    Raises:
        MillisError: as `millis.metrics.contract.matched`, or it is undefined on these references.
    """
    found = plain(metric, *matched(answers, references))
    if isnan(found):
        raise MillisError(
            f"{name} is undefined on these {len(references)} references: they hold none of the items it is taken over. "
            "Evaluate on a split that has some, or choose another metric"
        )
    return found


def judged(metrics: Mapping[str, AnyMetric]) -> dict[str, Judged]:
    """What records keep of metrics by name; `metric_of` is the way back."""
    return {
        name: Judged(metric.better, metric.unit, {} if isinstance(metric, Foreign) else listed(vars(metric)))
        for name, metric in metrics.items()
    }


def kinds(metrics: Iterable[AnyMetric | type[Metric]]) -> frozenset[Kind]:
    """What answers may be that all of `metrics` judge."""
    return frozenset.intersection(*(frozenset(metric.judges) for metric in metrics))


def kinds_of(record: Record) -> frozenset[Kind]:
    """What a record's answers may be, by the metrics that judged them; those of older records are labels."""
    judged_by = [kind(name) for name in record.judged if name in shipped()]
    return kinds(judged_by) if judged_by else frozenset(LABEL)


def blind(name: str) -> str:
    """What the best answers without a look at the texts are called, where the metric `name` judges them."""
    return "a random order" if _judges_scores(name) else "the most frequent answer to every text"


def counted(name: str) -> str:
    """What the items are that the metric `name` judges."""
    return "queries" if _judges_scores(name) else "texts"


def completed(record: Record, labels: Sequence[str]) -> Record:
    """A record that may be older than `judged`, with what its metric has to know of the labels."""
    return (
        record
        if record.quality in record.judged
        else replace(record, judged=judged({record.quality: named(record.quality, labels)}))
    )


def metric_of(records: Sequence[Record]) -> AnyMetric:
    """The metric that records of one test split are judged by, from the records alone.

    Where all of them are older than `judged`, labels are known by number.

    Raises:
        MillisError: they were judged over different labels, or older ones by a metric that has to know names.
    """
    name = records[0].quality
    known = [record for record in records if name in record.judged]
    if not known:
        lists = (values for record in records for values in (record.predictions, record.references))
        return named(name, numbered(*lists))
    first = known[0]
    for other in known:
        if other.judged[name] != first.judged[name]:
            raise MillisError(
                f"records {first.name!r} and {other.name!r} are judged by {name} over different labels "
                f"({first.judged[name].settings} and {other.judged[name].settings}): compare records of one data set"
            )
    if name not in shipped():
        return named(name, ())
    try:
        return schema.checked(first.judged[name].settings, kind(name))
    except MillisError as error:
        raise MillisError(f"record {first.name!r} lacks what {name} has to know: {error}") from error


def _judges_scores(name: str) -> bool:
    return name in shipped() and "scores" in kind(name).judges


def _class_name(name: str) -> str:
    return "".join(part.title() for part in name.split("_"))
