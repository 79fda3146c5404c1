"""What a runtime's operators take, as the runtime itself tells: medians over the requests of a profile.

A runtime that can tell has `operators(folder, manifest, threads, requests) -> list[Operator]` in its file. Telling
slows it down, so the times are for comparison with each other; latency is the benchmark's. As there, the time for which
another process had the CPU is taken off: off the request's longest operator, the likeliest to have been interrupted.
"""

from collections.abc import Callable, Sequence
from pathlib import Path
from statistics import median
from typing import NamedTuple, TypeAlias

from millis import backends
from millis.errors import MillisError
from millis.storage.manifest import Manifest
from millis.types import Features

WARM = 5  # requests before those that count
REQUESTS = 50  # that count, at least: fewer texts are asked about again

Time: TypeAlias = tuple[str, str, float]
"""Name and kind of an operator, and the microseconds that it took one time it ran."""


class Operator(NamedTuple):
    """One operator of a graph, or one kind of them where the runtime does not name its nodes.

    Args:
        name: As the runtime has it.
        kind: The operation, such as `MatMul`.
        share: Of the time of all operators, 0..1.
        microseconds: A request's median.
    """

    name: str
    kind: str
    share: float
    microseconds: float


Teller: TypeAlias = Callable[[Path, Manifest, int, Sequence[Features]], list[Operator]]


def profile(folder: Path, manifest: Manifest, threads: int, requests: Sequence[Features], most: int) -> list[Operator]:
    """The `most` expensive operators over `requests`, most expensive first.

    Raises:
        MillisError: as for `teller`.
    """
    tell = teller(manifest)
    enough = [requests[turn % len(requests)] for turn in range(max(REQUESTS, len(requests)))]
    found = tell(folder, manifest, threads, enough)
    return sorted(found, key=lambda operator: -operator.microseconds)[:most]


def teller(manifest: Manifest) -> Teller:
    """What tells the operators of an artifact.

    Raises:
        MillisError: its runtime does not tell.
    """
    tell: Teller | None = getattr(backends.module(manifest.backend), "operators", None)
    if tell is None:
        raise MillisError(
            f"backend={manifest.backend} does not tell what its operators take: its code is compiled as a whole. "
            "Profile the same model on another backend, or set profile=false"
        )
    return tell


def summarised(requests: Sequence[Sequence[Time]], waited_us: Sequence[float]) -> list[Operator]:
    """Operators from every time one ran, request by request.

    Args:
        requests: What ran in each.
        waited_us: How long each waited for other processes, microseconds. More than its longest operator took fell
            elsewhere, and is not taken off.
    """
    each = [_by_operator(times, waited) for times, waited in zip(requests, waited_us, strict=True)]
    operators = dict.fromkeys(key for sums in each for key in sums)
    medians = {key: median(sums.get(key, 0.0) for sums in each) for key in operators}
    everything = sum(medians.values()) or 1.0
    return [Operator(name, kind, spent / everything, spent) for (name, kind), spent in medians.items()]


def _by_operator(times: Sequence[Time], waited_us: float) -> dict[tuple[str, str], float]:
    """A request's microseconds by operator."""
    longest = max(range(len(times)), key=lambda row: times[row][2], default=0)
    sums: dict[tuple[str, str], float] = {}
    for row, (name, kind, spent) in enumerate(times):
        taken = spent - waited_us if row == longest and waited_us < spent else spent
        sums[name, kind] = sums.get((name, kind), 0.0) + taken
    return sums
