"""What `millis benchmark` may be asked for beyond latency: the limit, a profile, curves, the setting for a goal."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from statistics import median
from typing import Any

from omegaconf import DictConfig

from millis.backends.profile import REQUESTS, profile, teller
from millis.benchmark.agent.request import check_taken
from millis.benchmark.latency import HERE, Measurement, Options
from millis.benchmark.limit import limit_of
from millis.benchmark.rates import measure_rates
from millis.benchmark.scaling import GOALS, Point, scale, tune
from millis.cli.pipeline.measure import own_threads
from millis.cpus import available_cpus
from millis.errors import MillisError, nearest
from millis.record import Record
from millis.serving.runner import bound_threads, is_dynamic, load
from millis.storage.manifest import Manifest
from millis.types import Text

OPERATORS = 10
TEXTS = 200  # that a stream answers in turn
SECONDS = 1.0  # a point of a curve


def check(cfg: DictConfig, manifests: Mapping[str, Manifest]) -> None:
    """Refuse what could not be answered, before anything is measured.

    Raises:
        MillisError: an unknown goal, one without its bound, one without curves, a profile of what does not tell, the
            limit or profile of what is no one model or runs on a GPU, or what an agent does not tell.
    """
    _check_where(cfg, manifests)
    several = next((name for name, manifest in manifests.items() if is_dynamic(manifest)), None)
    for asked in ("limit", "profile"):
        if cfg[asked] and several is not None:
            raise MillisError(
                f"{asked}=true is about what every request costs, and {several!r} computes more for one than for "
                f"another. Leave it out of artifacts, or set {asked}=false"
            )
        elsewhere = next((name for name, manifest in manifests.items() if on_gpu(manifest)), None)
        if cfg[asked] and elsewhere is not None:
            raise MillisError(
                f"{asked}=true is about this machine's processor, and {elsewhere!r} runs on a GPU. Leave it out of "
                f"artifacts, or set {asked}=false"
            )
    if cfg.profile:
        for manifest in manifests.values():
            teller(manifest)
    if cfg.goal is None:
        return
    if cfg.goal not in GOALS:
        raise MillisError(f"goal={cfg.goal!r} is unknown: expected one of {', '.join(GOALS)}{nearest(cfg.goal, GOALS)}")
    if cfg.goal == "throughput" and cfg.bound_ms is None:
        raise MillisError("goal=throughput needs the latency it may cost: add bound_ms=..., a p99 in milliseconds")
    if not cfg.curves:
        raise MillisError(f"goal={cfg.goal} is read off the curves: add curves=true")


def _check_where(cfg: DictConfig, manifests: Mapping[str, Manifest]) -> None:
    """Refuse what an agent does not tell or take."""
    where = cfg.benchmark.where
    if where == HERE:
        return
    for asked in ("limit", "profile", "curves"):
        if cfg[asked]:
            raise MillisError(
                f"{asked}=true is about the machine it runs on, and benchmark.where={where} measures elsewhere. "
                f"Give the command on that machine, or set {asked}=false"
            )
    for name, manifest in manifests.items():
        check_taken(name, manifest.backend, manifest.spec)


def on_gpu(manifest: Manifest) -> bool:
    """Whether an artifact's arithmetic is not the processor's."""
    return "cuda" in (manifest.backend, manifest.options.get("device"))


def analyse(
    cfg: DictConfig,
    artifacts: Mapping[str, Path],
    manifests: Mapping[str, Manifest],
    texts: Sequence[Text],
    measured: Mapping[str, Measurement],
    options: Options,
) -> dict[str, dict[str, Any]]:
    """Artifact → what a record's `analysis` holds, JSON-able."""
    found: dict[str, dict[str, Any]] = {name: {} for name in artifacts}
    rates = {}
    if cfg.limit:
        cpus = available_cpus()
        places = {1: cpus[-1:], len(cpus) or 1: cpus, options.threads: options.cpus()}
        rates = {threads: measure_rates(threads, place, options.timeout_s) for threads, place in sorted(places.items())}
    for name, folder in artifacts.items():
        manifest = manifests[name]
        with own_threads():
            runner = load(folder, bound_threads(manifest, 1), verify=False, trust_code=cfg.trust_code)
            encoded = [runner.tokenize(text) for text in texts]
            if cfg.limit:
                tokens = max(1, round(median(len(one.ids) for one in encoded)))
                limit = limit_of(manifest, tokens, measured[name].stages_ms, rates[options.threads])
                found[name]["limit"] = {
                    **asdict(limit), "floor_ms": limit.floor_ms, "over_floor": limit.over_floor,
                    "rates": [asdict(rate) for rate in rates.values()],
                }  # fmt: skip
            if cfg.profile:
                requests = [runner.feed(one) for one in encoded[:REQUESTS]]
                operators = profile(folder, manifest, options.threads, requests, OPERATORS)
                found[name]["profile"] = [operator._asdict() for operator in operators]
        if cfg.curves:
            found[name]["curves"] = [
                asdict(point) for point in scale(folder, texts[:TEXTS], SECONDS, options.timeout_s)
            ]
    return found


def recommended(cfg: DictConfig, records: Sequence[Record]) -> Iterator[tuple[str, str]]:
    """(artifact, the setting that `cfg.goal` asks for, in words)."""
    if cfg.goal is None:
        return
    for record in records:
        best = tune([Point(**point) for point in record.analysis["curves"]], cfg.goal, cfg.bound_ms)
        streams = f"{best.streams} streams of " if best.streams > 1 else ""
        numbers = f"p50 {best.p50_ms:.3g} ms, p99 {best.p99_ms:.3g} ms, {best.per_second:.0f} texts a second"
        yield record.name, f"for {cfg.goal} take {streams}threads={best.threads}: {numbers}"
