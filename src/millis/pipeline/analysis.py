"""What `millis benchmark` may be asked for beyond latency: the limit, a profile, curves, the setting for a goal."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from statistics import median
from typing import Any

from millis.backends.profile import REQUESTS, profile, teller
from millis.benchmark.agent.request import check_taken
from millis.benchmark.latency import HERE, Measurement, Options
from millis.benchmark.limit import limit_of
from millis.benchmark.rates import measure_rates
from millis.benchmark.scaling import GOALS, Point, scale, tune
from millis.cpus import available_cpus
from millis.errors import MillisError, nearest
from millis.pipeline.measure import own_threads
from millis.record import Record
from millis.serving.runner import bound_threads, is_dynamic, load
from millis.storage.manifest import Manifest
from millis.types import Text

OPERATORS = 10
TEXTS = 200  # that a stream answers in turn
SECONDS = 1.0  # a point of a curve


@dataclass(frozen=True)
class Analysis:
    """What is asked beyond latency.

    Args:
        limit: How far each artifact is from this machine's limit.
        profile: The most expensive operators of each.
        curves: Latency against threads, streams, batch size and length.
        goal: Which setting the curves recommend, a name in `millis.benchmark.scaling.GOALS`; None recommends none.
        bound_ms: The p99 that throughput may cost.
    """

    limit: bool = False
    profile: bool = False
    curves: bool = False
    goal: str | None = None
    bound_ms: float | None = None


def check(asked: Analysis, where: str, manifests: Mapping[str, Manifest]) -> None:
    """Refuse what could not be answered, before anything is measured.

    Args:
        where: It is measured (`benchmark.where`).

    Raises:
        MillisError: an unknown goal, one without its bound, one without curves, a profile of what does not tell, the
            limit or profile of what is no one model or runs on a GPU, or what an agent does not tell.
    """
    _check_where(asked, where, manifests)
    several = next((name for name, manifest in manifests.items() if is_dynamic(manifest)), None)
    for name in ("limit", "profile"):
        if getattr(asked, name) and several is not None:
            raise MillisError(
                f"{name}=true is about what every request costs, and {several!r} computes more for one than for "
                f"another. Leave it out of artifacts, or set {name}=false"
            )
        elsewhere = next((name for name, manifest in manifests.items() if on_gpu(manifest)), None)
        if getattr(asked, name) and elsewhere is not None:
            raise MillisError(
                f"{name}=true is about this machine's processor, and {elsewhere!r} runs on a GPU. Leave it out of "
                f"artifacts, or set {name}=false"
            )
    if asked.profile:
        for manifest in manifests.values():
            teller(manifest)
    if asked.goal is None:
        return
    if asked.goal not in GOALS:
        raise MillisError(
            f"goal={asked.goal!r} is unknown: expected one of {', '.join(GOALS)}{nearest(asked.goal, GOALS)}"
        )
    if asked.goal == "throughput" and asked.bound_ms is None:
        raise MillisError("goal=throughput needs the latency it may cost: add bound_ms=..., a p99 in milliseconds")
    if not asked.curves:
        raise MillisError(f"goal={asked.goal} is read off the curves: add curves=true")


def _check_where(asked: Analysis, where: str, manifests: Mapping[str, Manifest]) -> None:
    """Refuse what an agent does not tell or take."""
    if where == HERE:
        return
    for name in ("limit", "profile", "curves"):
        if getattr(asked, name):
            raise MillisError(
                f"{name}=true is about the machine it runs on, and benchmark.where={where} measures elsewhere. "
                f"Give the command on that machine, or set {name}=false"
            )
    for name, manifest in manifests.items():
        check_taken(name, manifest.backend, manifest.spec)


def on_gpu(manifest: Manifest) -> bool:
    """Whether an artifact's arithmetic is not the processor's."""
    return "cuda" in (manifest.backend, manifest.options.get("device"))


def analyse(
    asked: Analysis,
    artifacts: Mapping[str, Path],
    manifests: Mapping[str, Manifest],
    texts: Sequence[Text],
    measured: Mapping[str, Measurement],
    options: Options,
    *,
    trust_code: bool = False,
) -> dict[str, dict[str, Any]]:
    """Artifact → what a record's `analysis` holds, JSON-able."""
    found: dict[str, dict[str, Any]] = {name: {} for name in artifacts}
    rates = {}
    if asked.limit:
        cpus = available_cpus()
        places = {1: cpus[-1:], len(cpus) or 1: cpus, options.threads: options.cpus()}
        rates = {threads: measure_rates(threads, place, options.timeout_s) for threads, place in sorted(places.items())}
    for name, folder in artifacts.items():
        manifest = manifests[name]
        with own_threads():
            runner = load(folder, bound_threads(manifest, 1), verify=False, trust_code=trust_code)
            encoded = [runner.tokenize(text) for text in texts]
            if asked.limit:
                tokens = max(1, round(median(len(one.ids) for one in encoded)))
                limit = limit_of(manifest, tokens, measured[name].stages_ms, rates[options.threads])
                found[name]["limit"] = {
                    **asdict(limit), "floor_ms": limit.floor_ms, "over_floor": limit.over_floor,
                    "rates": [asdict(rate) for rate in rates.values()],
                }  # fmt: skip
            if asked.profile:
                requests = [runner.feed(one) for one in encoded[:REQUESTS]]
                operators = profile(folder, manifest, options.threads, requests, OPERATORS)
                found[name]["profile"] = [operator._asdict() for operator in operators]
        if asked.curves:
            found[name]["curves"] = [
                asdict(point) for point in scale(folder, texts[:TEXTS], SECONDS, options.timeout_s, options.new_tokens)
            ]
    return found


def recommended(asked: Analysis, records: Sequence[Record]) -> Iterator[tuple[str, str]]:
    """(artifact, the setting that `asked.goal` names, in words)."""
    if asked.goal is None:
        return
    for record in records:
        best = tune([Point(**point) for point in record.analysis["curves"]], asked.goal, asked.bound_ms)
        streams = f"{best.streams} streams of " if best.streams > 1 else ""
        numbers = f"p50 {best.p50_ms:.3g} ms, p99 {best.p99_ms:.3g} ms, {best.per_second:.0f} texts a second"
        yield record.name, f"for {asked.goal} take {streams}threads={best.threads}: {numbers}"
