"""`millis build`: an application of its parts, and what compressing them changes, step by step."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from omegaconf import DictConfig, OmegaConf, open_dict

from millis.applications.contract import Plan
from millis.benchmark.latency import HERE, Options
from millis.cli.hydra_app import settled
from millis.cli.plain import plain
from millis.cli.recipes import check_run, place_of, run_of
from millis.cli.targets import instantiate
from millis.described import described
from millis.errors import MillisError
from millis.pipeline.application import Built, build, corpus_of, inputs_of
from millis.record import write_records
from millis.report.applications import print_chains
from millis.report.text import wide_console

SHARED = ("seed", "benchmark", "logger", "paths")  # what a build says for all of its parts


def run(cfg: DictConfig) -> Built:
    """Build the application, print both chains side by side, and keep the records of the parts."""
    built = built_of(instantiate(cfg.app), cfg)
    path = Path(cfg.paths.outputs) / "build" / built.folder.name / "records.jsonl"
    write_records(path, built.records)
    console = wide_console()
    print_chains({name: (chain.measures, chain.measurement) for name, chain in built.chains.items()}, console)
    console.print(f"application: {built.folder}\nrecords of its parts: {path}", soft_wrap=True)
    return built


def built_of(plan: Plan, cfg: DictConfig, options: Options | None = None) -> Built:
    """What comes of a plan, with all else as a config says.

    Args:
        plan: Of the application.
        cfg: Of `millis build`.
        options: How it is timed, where that is not as the config says.

    Raises:
        MillisError: what cannot be, of any part, before anything is trained.
    """
    if cfg.benchmark.where != HERE:
        raise MillisError(
            f"benchmark.where={cfg.benchmark.where}: applications are timed here; set benchmark.where={HERE}"
        )
    place = place_of(cfg)
    corpus = corpus_of(plan, cfg.data.path, place)
    inputs = inputs_of(plan, corpus, place)
    parts = {part: _part(part, overrides, cfg, options) for part, overrides in _overrides(plan, inputs, cfg).items()}
    for part in parts.values():
        check_run(part)
    runs = {name: run_of(part) for name, part in parts.items()}
    return build(plan, corpus, runs, place, options or instantiate(cfg.benchmark))


def _overrides(plan: Plan, inputs: Mapping[str, Sequence[str]], cfg: DictConfig) -> Mapping[str, list[str]]:
    """Of each part: its task and data, and how it is made.

    Raises:
        MillisError: a part that the application does not have.
    """
    if unknown := sorted(set(plan.parts) - set(inputs)):
        raise MillisError(f"app.parts names {unknown[0]!r}, which {plan.kind} does not have: {', '.join(inputs)}")
    return {part: [*given, *plan.parts.get(part, ()), *plain(cfg.every_part)] for part, given in inputs.items()}


def _part(name: str, overrides: list[str], cfg: DictConfig, options: Options | None) -> DictConfig:
    """The config of `millis compress` for a part.

    Raises:
        MillisError: overrides that the command does not take.
    """
    try:
        part = settled("compress", overrides)
    except Exception as error:
        raise MillisError(f"app.parts.{name}: {_sentence(error, overrides)}") from error
    as_written: Any = OmegaConf.to_container(cfg, resolve=False)
    with open_dict(part):
        for key in SHARED:
            part[key] = as_written[key]  # a logger's name is the run's own
        part.group = plain(cfg.group)
        if options is not None:
            part.benchmark = described(options)
        part.benchmark.quantile = None  # of the whole turn, not of its parts
    return part


def _sentence(error: Exception, overrides: list[str]) -> Any:
    from millis.cli.faults import explain

    return explain(error, "compress", overrides) or error
