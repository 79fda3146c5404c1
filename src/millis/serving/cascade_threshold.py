"""A cascade's threshold, chosen on validation texts: for a stated loss of quality, or for a stated latency.

Every confidence that the fast member has on a validation text is a candidate t: texts at or above it are answered by
the fast member. What each would cost is known from both members' answers and times on the same texts:

    quality(t)  of answers that are the fast member's where it is sure, else the accurate member's
    latency(t)  fast_ms + [unsure] · accurate_ms, text by text; its quantiles steer the choice alone, for what is
                reported is measured on the cascade

Under limits of quality, the candidate that leaves most to the fast member is taken; under limits of latency alone, the
one of the best quality. Chosen on the very texts that it is judged by here, its quality is a little flattered; the test
split knows nothing of it.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from millis.errors import MillisError
from millis.units import label, show, show_limit

NEVER = 2.0  # above every probability: the fast member is never sure
LEAST = {
    "quality_drop": 1.0,
    "latency_p50_ms": 1e-6,
    "latency_p99_ms": 1e-6,
}  # an excess is a share of its limit, or this
MOST = 256  # candidates: evenly spaced ones of more


class Validation(NamedTuple):
    """What the members did on N validation texts.

    Args:
        confidence: The fast member's largest probability, [N].
        fast, accurate: Label indices, [N].
        fast_ms: A whole request to the fast member, [N].
        accurate_ms: What the accurate member adds where it is asked, [N].
    """

    confidence: NDArray[np.float64]
    fast: NDArray[np.int64]
    accurate: NDArray[np.int64]
    fast_ms: NDArray[np.float64]
    accurate_ms: NDArray[np.float64]


class Point(NamedTuple):
    """What a threshold costs on the validation texts.

    Args:
        threshold: Least probability at which the fast member answers.
        fast_share: Percent of texts that it answers.
        quality_drop: Points below the accurate member.
        latency_p50_ms, latency_p99_ms: Estimates.
    """

    threshold: float
    fast_share: float
    quality_drop: float
    latency_p50_ms: float
    latency_p99_ms: float


def points(found: Validation, score: Callable[[ArrayLike], float]) -> list[Point]:
    """All candidates, from the lowest threshold, where the fast member answers most, to `NEVER`.

    Args:
        found: At least one text.
        score: Quality of predictions [N]; more is better.
    """
    candidates = np.unique(found.confidence)
    if len(candidates) > MOST:
        candidates = candidates[np.linspace(0, len(candidates) - 1, MOST).astype(int)]
    best, made = score(found.accurate), []
    for threshold in [*candidates.tolist(), NEVER]:
        unsure = found.confidence < threshold
        latency = found.fast_ms + unsure * found.accurate_ms
        made.append(
            Point(
                threshold,
                fast_share=100 * float(1 - unsure.mean()),
                quality_drop=best - score(np.where(unsure, found.accurate, found.fast)),
                latency_p50_ms=float(np.quantile(latency, 0.5)),
                latency_p99_ms=float(np.quantile(latency, 0.99)),
            )
        )
    return made


def choose(candidates: Sequence[Point], limits: Mapping[str, float | None]) -> Point:
    """The best candidate within `limits` (`quality_drop`, `latency_p50_ms`, `latency_p99_ms`; None is none).

    Raises:
        MillisError: there is no limit, or no candidate keeps all; names the nearest.
    """
    given = {name: limit for name, limit in limits.items() if limit is not None}
    if not given:
        raise MillisError(
            f"a cascade's threshold needs a limit: give one of {', '.join(f'cascade.{name}' for name in limits)}"
        )
    kept = [point for point in candidates if all(getattr(point, name) <= limit for name, limit in given.items())]
    if not kept:
        raise MillisError(_nothing_fits(candidates, given))
    if "quality_drop" in given:
        return max(kept, key=lambda point: (point.fast_share, -point.quality_drop))
    return min(kept, key=lambda point: (point.quality_drop, -point.fast_share))


def describe(point: Point) -> str:
    """A sentence of what a candidate promises."""
    p50, p99 = (show(name, getattr(point, name)) for name in ("latency_p50_ms", "latency_p99_ms"))
    return (
        f"threshold {point.threshold:.3f}: on validation the fast member answers {point.fast_share:.0f} %, quality "
        f"drops by {point.quality_drop:.1f} points; p50 about {p50}, p99 about {p99}"
    )


def _nothing_fits(candidates: Sequence[Point], limits: Mapping[str, float]) -> str:
    def excess(point: Point) -> float:
        values: dict[str, float] = point._asdict()
        return max((values[name] - limit) / max(limit, LEAST[name]) for name, limit in limits.items())

    asked = " and ".join(f"{label(name)} ≤ {show_limit(name, limit)}" for name, limit in limits.items())
    return (
        f"no threshold keeps {asked} on the validation split. The nearest is {describe(min(candidates, key=excess))}. "
        "Allow that much, or choose another fast or accurate member"
    )
