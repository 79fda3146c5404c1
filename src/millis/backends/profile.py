"""What a runtime's operators take, as the runtime itself tells: sums over the requests of a profile.

A runtime that can tell has `operators(folder, manifest, threads, requests) -> list[Operator]` in its file. Telling
slows it down, so the times are for comparison with each other; latency is the benchmark's.
"""

from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import NamedTuple, TypeAlias

from millis import backends
from millis.errors import MillisError
from millis.storage.manifest import Manifest
from millis.types import Features

WARM = 5  # requests before those that count


class Operator(NamedTuple):
    """One operator of a graph, or one kind of them where the runtime does not name its nodes.

    Args:
        name: As the runtime has it.
        kind: The operation, such as `MatMul`.
        share: Of the time of all operators, 0..1.
        microseconds: A request.
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
    found = teller(manifest)(folder, manifest, threads, requests)
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


def summed(times: Iterable[tuple[str, str, float]], requests: int) -> list[Operator]:
    """Operators from (name, kind, microseconds) of every time one ran, over `requests` requests."""
    total: dict[tuple[str, str], float] = {}
    for name, kind, microseconds in times:
        total[name, kind] = total.get((name, kind), 0.0) + microseconds
    everything = sum(total.values()) or 1.0
    return [Operator(name, kind, spent / everything, spent / requests) for (name, kind), spent in total.items()]
