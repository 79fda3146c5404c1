"""Where latency is measured: on this machine, or by an agent on another."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from millis.benchmark.agent.client import AgentBench, describe
from millis.benchmark.environment import NATIVE, PACKAGES, machine, packages, peculiarities
from millis.benchmark.latency import HERE, Bench, Measurement, Options
from millis.errors import MillisError, nearest
from millis.types import Text


def open_bench(reference: Path, texts: Sequence[Text], options: Options) -> Bench | AgentBench:
    """A bench at `options.where`, to be used and closed as `Bench`.

    Raises:
        MillisError: as for `Bench`, and where an agent cannot be used.
    """
    return (Bench if options.where == HERE else AgentBench)(reference, texts, options)


def measure(
    artifacts: Mapping[str, Path], texts: Sequence[Text], reference: str, options: Options
) -> dict[str, Measurement]:
    """Measure `artifacts` (name → folder) against the one called `reference`, all in the same rounds.

    Raises:
        MillisError: `reference` is not among them, or as for `open_bench`.
    """
    if reference not in artifacts:
        raise MillisError(
            f"the reference {reference!r} is not among the artifacts {', '.join(map(repr, artifacts))}"
            f"{nearest(reference, artifacts)}. Name one of them"
        )
    with open_bench(artifacts[reference], texts, options) as bench:
        return bench.measure(artifacts)


def lacking(backend: str, options: Options) -> str | None:
    """Why artifacts of a runtime cannot be measured there; None where they can, as far as that is known from here.

    Runtimes are called as the packages that they need.
    """
    if options.where == HERE or backend not in (*PACKAGES, NATIVE):
        return None
    there = describe(options.where, options.patience_s).packages
    return None if {backend, f"{backend}-gpu"} & there.keys() else f"the agent at {options.where} has no {backend}"


def site(options: Options) -> list[Any]:
    """What of the measuring machine a latency depends on, JSON-able; another machine has another.

    Its processor, instruction sets, packages, and where it has any its GPUs and the quota of its CPUs; an agent's also
    has its host name, for whoever names a device wants that one's latency and not that of another with the same
    processor.
    """
    if options.where == HERE:
        here = machine()
        return [here["cpu"], here["cpu_flags"], packages(), *peculiarities(here)]
    return describe(options.where, options.patience_s).site
