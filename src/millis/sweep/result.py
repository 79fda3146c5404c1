"""What a trial's task returns, checked."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from millis.errors import MillisError, nearest

PARTS = {"metrics", "constraints", "attrs"}
ENDED = "ended"  # attribute: why a trial was ended before its time


@dataclass(frozen=True)
class Result:
    """What a task's return value says: `{"metrics": {name: value}, "constraints": {name: value}, "attrs": {...}}`.

    `constraints` and `attrs` may be left out; `attrs` is anything JSON-able to be kept with the trial. One of them,
    `ended`, says that the trial was ended before its time, and why.
    """

    metrics: dict[str, float]
    constraints: dict[str, float]
    attrs: dict[str, Any] = field(default_factory=dict)

    @property
    def violation(self) -> float:
        """The largest constraint; 0 without any. Above 0: infeasible."""
        return max(self.constraints.values(), default=0.0)

    @classmethod
    def read(cls, returned: Any, objectives: Sequence[str]) -> "Result":
        """Check a task's return value.

        Raises:
            MillisError: another shape, a number that is not finite, or an objective missing from a feasible trial that
                came to its end.
        """
        parts = returned if isinstance(returned, Mapping) else {}
        told, limits = parts.get("metrics"), parts.get("constraints") or {}
        if not (isinstance(told, Mapping) and isinstance(limits, Mapping)) or set(parts) - PARTS:
            expected = "{'metrics': {name: value}, 'constraints': {name: value}, 'attrs': {...}}"
            raise MillisError(f"the task returned {returned!r}; expected {expected}")
        metrics = {name: _number("metric", name, value) for name, value in told.items()}
        constraints = {name: _finite("constraint", name, value) for name, value in limits.items()}
        result = cls(metrics, constraints, dict(parts.get("attrs") or {}))
        for name in objectives:
            if name in metrics:
                _finite("metric", name, metrics[name])
            elif result.violation <= 0 and ENDED not in result.attrs:
                has = ", ".join(metrics) or "nothing"
                raise MillisError(
                    f"the task returned no {name!r}{nearest(name, metrics)}; it returned {has}. "
                    "Only a trial that violates a constraint, or was ended before its time, may leave an objective out"
                )
        return result


def _number(what: str, name: str, value: Any) -> float:
    try:
        return float(value)
    except (TypeError, ValueError) as error:
        raise MillisError(f"the task returned {what} {name}={value!r}; expected a number") from error


def _finite(what: str, name: str, value: Any) -> float:
    number = _number(what, name, value)
    if not math.isfinite(number):
        raise MillisError(
            f"the task returned {what} {name}={number}; expected a finite number. Leave out what is unknown"
        )
    return number
