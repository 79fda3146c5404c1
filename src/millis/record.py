"""Record: one frozen measured result, enough to repeat the run and to judge it. JSON lines in and out.

`metrics` carries units in its names: `latency_p50_ms`, `size_bytes`, `speedup` (original / compressed, above 1 is
better), and quality metrics (`accuracy` = 93.4) on the test split, whose units `judged` has; the same on the
validation split, which steers searches, is prefixed `validation_`. `intervals` holds 95 % bootstrap intervals under the
same names.

A line is held against `Record`'s own annotations (`millis.schema`), and against what a report takes for granted beyond.
"""

import json
from collections.abc import Iterable, Mapping
from dataclasses import MISSING, asdict, dataclass, field, fields
from math import inf
from pathlib import Path
from typing import Annotated, Any, Literal, TypedDict

from msgspec import Meta

from millis import schema
from millis.errors import MillisError
from millis.schema import Count
from millis.store import atomic_file
from millis.units import PERCENT, SIGN, Better

KINDS = ("teacher", "baseline", "linear", "student")
Amount = Annotated[float, Meta(ge=0, le=1e30)]  # finite
Number = Annotated[float, Meta(ge=-1e30, le=1e30)]  # finite
Milliseconds = Annotated[float, Meta(gt=0, le=1e12)]  # 30 years: finite
MEASURED = ("_ms", "_bytes", "speedup")  # ends of the names of metrics that are never undefined


@dataclass(frozen=True)
class Judged:
    """How a quality metric reads, and what it knows beside answers and references.

    With `predictions` and `references` that is all it takes to resample the metric, so a report opens no artifact. The
    items' statistics would do as well, and are not here: they follow from these three, and are 302 numbers a text for a
    macro average over 151 classes.

    Args:
        better: Which values are the better ones.
        unit: "%", or the metric's own; empty where it does not say.
        settings: The metric's fields, such as `{"classes": 151}`.
    """

    better: Better = "higher"
    unit: Annotated[str, Meta(max_length=32)] = PERCENT
    settings: dict[str, Any] = field(default_factory=dict)

    @property
    def sign(self) -> float:
        """What makes more of the metric better: 1 or -1."""
        return SIGN[self.better]

    def loss(self, value: float, reference: float) -> float:
        """How much worse `value` is than `reference`, in the metric's unit; negative where it is better."""
        return self.sign * (reference - value)


def listed(value: Any) -> Any:
    """Tuples as lists, at any depth: as JSON has them."""
    if isinstance(value, Mapping):
        return {key: listed(one) for key, one in value.items()}
    return [listed(one) for one in value] if isinstance(value, list | tuple) else value


@dataclass(frozen=True)
class Record:
    """One measured model.

    Args:
        id: Fingerprint of everything that determines the result.
        name: Short human name, unique within a study, such as `transformer 3x384 int8`.
        kind: `teacher` (eager fp32, the reference), `baseline` (the teacher untouched, on a faster runtime), `linear`
            (a linear model of n-grams, made without the teacher), `student`.
        metrics: Name → value, units in the names.
        intervals: Name → (low, high), 95 % bootstrap.
        quality: The name of the quality metric this record is judged by, such as `accuracy`.
        config: The resolved config of the run.
        seed: Seed of training.
        artifact: Folder of the deployable artifact, relative to the records file where possible.
        predictions: What was answered to each text of the test split, in order, [N]: the index of its label, a list
            of those of several, a number, a list with the index of each word's tag, a list of a label and such
            a list, or a text. Where texts are a query's candidates, [queries]: a list of their scores.
        references: What is right, alike; where several texts are, a list of them.
        latency_ms: Raw end-to-end samples, one list a round, [R][requests], in milliseconds.
        reference_latency_ms: The reference's samples in the same rounds, [R][requests].
        stages_ms: Stage of a request (`tokenize`, ...), in order → median milliseconds.
        parity: Agreement with eager fp32: `label_agreement` (0..1), `max_abs_logit_difference`.
        environment: Machine, threads, affinity, package versions, git commit, data fingerprint.
        analysis: What `millis benchmark` was asked for beyond latency: `limit`, `profile`, `curves`.
        processes: Which of the model's processes served each round, [R]; empty in records older than this field.
        judged: Quality metric → how it reads; empty in records older than this field.
        notes: Anything a reader must know (texts truncated, reference drifted, training skipped, and what that saved).
    """

    id: str
    name: str
    kind: str
    metrics: dict[str, float]
    intervals: dict[str, tuple[float, float]]
    quality: str
    config: dict[str, Any]
    seed: int
    artifact: str
    predictions: list[Count | Number | list[Any] | str]
    references: list[Count | Number | list[Any] | str]
    latency_ms: list[list[Milliseconds]]
    reference_latency_ms: list[list[Milliseconds]]
    stages_ms: dict[str, float]
    parity: dict[str, float]
    environment: dict[str, Any]
    notes: list[str] = field(default_factory=list)
    analysis: dict[str, Any] = field(default_factory=dict)
    processes: list[int] = field(default_factory=list)
    judged: dict[str, Judged] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if self.kind not in KINDS:
            raise MillisError(f"record {self.name!r} has kind {self.kind!r}; expected one of {', '.join(KINDS)}")
        for name in ("predictions", "references"):  # a record is equal to itself once written and read
            object.__setattr__(self, name, listed(getattr(self, name)))

    @property
    def reading(self) -> Judged:
        """How the quality metric reads; that of older records is a percentage, and more is better."""
        return self.judged.get(self.quality, Judged())

    def to_json(self) -> str:
        """One line of JSON."""
        return json.dumps(asdict(self), ensure_ascii=False)

    @classmethod
    def from_json(cls, line: str) -> "Record":
        """Inverse of `to_json`.

        Raises:
            MillisError: not a record: not JSON, or fields missing or unknown.
        """
        try:
            values = schema.checked(schema.parsed(line), dict[str, Any])
            known = {f.name: f.default_factory is MISSING for f in fields(cls)}
            if unknown := sorted(set(values) - set(known)):
                raise MillisError(f"unknown fields {unknown}")
            if missing := [name for name, required in known.items() if required and name not in values]:
                raise MillisError(f"missing fields {missing}")
            record = schema.checked(values, cls)
            schema.checked(values, _Nested)
            _check(record)
        except MillisError as error:
            raise MillisError(f"not a millis record: {error}") from error
        return record


class _Study(TypedDict, total=False):
    directions: dict[str, Literal["minimize", "maximize"]]


class _Config(TypedDict, total=False):
    study: _Study


class _Nested(TypedDict):
    """What is read of the config, where it has it."""

    config: _Config


def _check(record: Record) -> None:
    """What annotations cannot say.

    Raises:
        MillisError: texts without a prediction or a label, or a time, size or speed-up that is no positive number.
    """
    if len(record.predictions) != len(record.references):
        raise MillisError(
            f"predictions has {len(record.predictions)} values: expected one for each of the {len(record.references)} "
            "references"
        )
    for name, value in record.metrics.items():
        if name.endswith(MEASURED) and not 0 < value < inf:
            raise MillisError(f"metrics[{name!r}] is {value}: expected a number above 0")


def write_records(path: Path, records: Iterable[Record]) -> None:
    """Write `records` as JSON lines, atomically."""
    with atomic_file(path) as temporary:
        temporary.write_text("".join(record.to_json() + "\n" for record in records), encoding="utf-8")


def read_records(path: Path) -> list[Record]:
    """Read the records of a JSON-lines file.

    Raises:
        MillisError: no such file, or a line that is not a record (its number is named).
    """
    if not path.is_file():
        raise MillisError(f"no records at {path}: run `millis sweep` or `millis compress` first, or name another file")
    records = []
    try:
        with path.open(encoding="utf-8") as lines:  # `str.splitlines` would cut at a U+2028 inside a text as well
            for number, line in enumerate(lines, start=1):
                try:
                    records.append(Record.from_json(line))
                except MillisError as error:
                    raise MillisError(f"{path}, line {number}: {error}") from error
    except UnicodeDecodeError as error:
        raise MillisError(f"{path} is not UTF-8 text, so it holds no records: {error}. Name another file") from error
    return records
