"""The frontier as a result: which records are on it, and how surely. Plain data.

`millis.sweep.frontier` computes it and `millis.report` draws it; they meet here and do not import each other.
Everything is JSON-able with `dataclasses.asdict`.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from math import isfinite

from millis.errors import MillisError, nearest
from millis.record import Record
from millis.units import Better

DIRECTIONS: dict[Better, str] = {"higher": "maximize", "lower": "minimize"}
"""Of an objective, by which values of it are better."""


@dataclass(frozen=True)
class Standing:
    """Where one record stands.

    Args:
        id: The record's id.
        name: The record's name.
        on_frontier: No other record is at least as good in every objective and better in one (point estimates).
        probability: Share of the joint bootstrap resamples in which it is on the frontier, 0..1.
        tied_with: Ids of the frontier members that no measured difference tells it apart from.
        unbeaten: The baseline that it does not beat (`millis.sweep.baselines`); empty where it beats all, or was not
            held against them, as dominated students are not.
    """

    id: str
    name: str
    on_frontier: bool
    probability: float
    tied_with: tuple[str, ...] = ()
    unbeaten: str = ""


@dataclass(frozen=True)
class Frontier:
    """The standing of every record.

    Args:
        objectives: Metric name → `maximize` or `minimize`.
        standings: One a record, in the order the records came.
        resamples: Bootstrap resamples behind the probabilities and the ties.
        majority: Quality of always answering the test split's most frequent answer; nan where the metric has none.
    """

    objectives: dict[str, str]
    standings: tuple[Standing, ...]
    resamples: int
    majority: float

    @property
    def members(self) -> tuple[Standing, ...]:
        """The records on the frontier."""
        return tuple(standing for standing in self.standings if standing.on_frontier)

    @property
    def latency(self) -> str:
        """The latency metric the frontier is about; `latency_p50_ms` where no objective is a latency."""
        return next((name for name in self.objectives if name.startswith("latency_")), "latency_p50_ms")

    @property
    def unbeaten(self) -> dict[str, str]:
        """Record id → the baseline that it does not beat: what is not recommended."""
        return {standing.id: standing.unbeaten for standing in self.standings if standing.unbeaten}

    def of(self, record: Record) -> Standing:
        """The standing of `record`.

        Raises:
            MillisError: the frontier was computed from other records.
        """
        for standing in self.standings:
            if standing.id == record.id:
                return standing
        raise MillisError(
            f"record {record.name!r} is not among the {len(self.standings)} records this frontier was computed from: "
            "compute the frontier again from the records to be shown"
        )


def teacher_of(records: Iterable[Record]) -> Record:
    """The one teacher among `records`.

    Raises:
        MillisError: there is none, or more than one.
    """
    teachers = [record for record in records if record.kind == "teacher"]
    if len(teachers) != 1:
        raise MillisError(
            f"got {len(teachers)} teacher records, expected one, which every speed-up and quality drop is against: "
            "read the records of one whole study at a time"
        )
    return teachers[0]


def finite_metric(record: Record, name: str) -> float:
    """The metric `name` of `record`.

    Raises:
        MillisError: the record does not have it, or it is not a finite number.
    """
    value = record.metrics.get(name, float("nan"))
    if not isfinite(value):
        raise MillisError(
            f"record {record.name!r} has no metric {name!r}{nearest(name, record.metrics)}; "
            f"it has: {', '.join(sorted(record.metrics))}"
        )
    return value
