"""`millis report`: records as one HTML page, or the effects of what they differ in."""

from collections.abc import Iterable, Sequence
from dataclasses import asdict, replace
from pathlib import Path

from omegaconf import DictConfig

from millis.budget import limits_of, pick
from millis.cli.plain import plain
from millis.errors import MillisError
from millis.frontier import DIRECTIONS
from millis.metrics import completed, metric_of
from millis.record import Record, read_records
from millis.report.effects import factorial, print_effects
from millis.report.html import write_html
from millis.report.tables import frontier_rows
from millis.report.text import print_frontier, wide_console
from millis.storage.manifest import open_manifest
from millis.store import write_json
from millis.sweep.frontier import frontier
from millis.tracking import dashboard


def run(cfg: DictConfig) -> Path:
    """Draw the records of one study, or their effects; returns the path of what was written."""
    place = None if cfg.wandb is None else dashboard.target(cfg.wandb)
    outputs = Path(cfg.paths.outputs)
    source = Path(cfg.records) if cfg.records else outputs if cfg.effects else newest(outputs)
    folder = source if source.is_dir() else source.parent
    records = [_with_labels(record, Path() if source.is_dir() else folder) for record in read_all(source)]
    if not records:
        raise MillisError(f"{source} holds no records: run `millis sweep` first")
    if cfg.effects:
        return _effects(cfg.effects, records, folder)
    found = frontier(records, _objectives(records[0], cfg.latency))
    budget = plain(cfg.budget)
    page = Path(cfg.html) if cfg.html else folder / "frontier.html"
    write_html(page, records, found, title=cfg.title, budget=budget)
    console = wide_console()
    print_frontier(frontier_rows(records, found), console)
    if limits_of(budget):
        console.print(pick(records, budget, found.unbeaten).sentence(), soft_wrap=True, highlight=False)
    console.print(f"page: {page}", soft_wrap=True, highlight=False)
    if place is not None:
        console.print(f"dashboard: {_publish(records[0], place, cfg.latency)}", soft_wrap=True, highlight=False)
    return page


def _publish(record: Record, place: tuple[str, str], latency: str | None) -> str:
    """Make the dashboard of the study that a record is of; its address."""
    study = record.config.get("study")
    if not study:
        raise MillisError("wandb=... makes the dashboard of a sweep, and these records are of none. Give records=FILE")
    aims = list(_objectives(record, latency))
    axis = next((name for name in aims if name.startswith("latency")), "latency_p50_ms")
    made = dashboard.dashboard(
        *place, study=study["name"], quality=record.quality, latency=axis, searched=list(study["space"])
    )
    return dashboard.publish(made)


def _effects(factors: Iterable[str], records: Sequence[Record], folder: Path) -> Path:
    """Print what the factors do, and write it as JSON."""
    found = factorial(records, list(factors))
    console = wide_console()
    print_effects(found, console)
    path = folder / "effects.json"
    write_json(path, asdict(found))
    console.print(f"effects: {path}", soft_wrap=True, highlight=False)
    return path


def read_all(source: Path) -> list[Record]:
    """The records of a file, or of every `records.jsonl` under a folder, oldest file first, each where it came last.

    Raises:
        MillisError: no such file, none under the folder, or a line that is not a record.
    """
    if not source.is_dir():
        return read_records(source)
    found: dict[str, Record] = {}
    for path in _files(source):
        for record in read_records(path):
            found.pop(record.id, None)
            found[record.id] = replace(record, artifact=str(path.parent / record.artifact))
    return list(found.values())


def _objectives(record: Record, latency: str | None) -> dict[str, str]:
    """What the records' own study searched for; quality against `latency` where that is given or no study made them."""
    study = record.config.get("study", {}).get("directions", {})
    if latency is None and study:
        return {record.quality if name == "quality" else name: way for name, way in study.items()}
    return {record.quality: DIRECTIONS[record.reading.better], latency or "latency_p50_ms": "minimize"}


def newest(outputs: Path) -> Path:
    """The `records.jsonl` under `outputs` that was written last."""
    return _files(outputs)[-1]


def _files(folder: Path) -> list[Path]:
    """Every `records.jsonl` under `folder`, oldest first."""
    found = sorted(folder.rglob("records.jsonl"), key=lambda path: path.stat().st_mtime)
    if not found:
        raise MillisError(f"no records.jsonl under {folder}: run `millis sweep` first, or give records=FILE")
    return found


def _with_labels(record: Record, folder: Path) -> Record:
    """A record that may be older than `judged`; where its metric has to know label names, its artifact has them."""
    if record.quality in record.judged:
        return record
    try:
        metric_of([record])
    except MillisError:
        return completed(record, open_manifest(folder / record.artifact, verify=False).task.get("labels", ()))
    return record
