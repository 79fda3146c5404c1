"""`millis report`: records as one HTML page."""

from pathlib import Path

from omegaconf import DictConfig

from millis.cli.pipeline.inputs import plain
from millis.errors import MillisError
from millis.metrics import scorer
from millis.record import Record, read_records
from millis.report.html import write_html
from millis.report.tables import frontier_rows
from millis.report.text import print_frontier, wide_console
from millis.sweep.frontier import frontier, pick


def run(cfg: DictConfig) -> Path:
    """Draw the records of one study; returns the page's path."""
    source = Path(cfg.records) if cfg.records else newest(Path(cfg.paths.outputs))
    records = read_records(source)
    if not records:
        raise MillisError(f"{source} holds no records: run `millis sweep` first")
    quality = records[0].quality
    score = None if quality == "accuracy" else scorer(quality, _labels(records[0].artifact, source.parent))
    found = frontier(records, _objectives(records[0], cfg.latency), score)
    budget = {name: limit for name, limit in plain(cfg.budget).items() if limit is not None}
    page = Path(cfg.html) if cfg.html else source.parent / "frontier.html"
    write_html(page, records, found, title=cfg.title, budget=budget)
    console = wide_console()
    print_frontier(frontier_rows(records, found), console)
    if budget:
        console.print(pick(records, budget).sentence(), soft_wrap=True, highlight=False)
    console.print(f"page: {page}", soft_wrap=True, highlight=False)
    return page


def _objectives(record: Record, latency: str | None) -> dict[str, str]:
    """What the records' own study searched for; quality against `latency` where that is given or no study made them."""
    study = record.config.get("study", {}).get("directions", {})
    if latency is None and study:
        return {record.quality if name == "quality" else name: way for name, way in study.items()}
    return {record.quality: "maximize", latency or "latency_p50_ms": "minimize"}


def newest(outputs: Path) -> Path:
    """The `records.jsonl` under `outputs` that was written last."""
    found = sorted(outputs.rglob("records.jsonl"), key=lambda path: path.stat().st_mtime)
    if not found:
        raise MillisError(f"no records.jsonl under {outputs}: run `millis sweep` first, or give records=FILE")
    return found[-1]


def _labels(artifact: str, folder: Path) -> tuple[str, ...]:
    from millis.storage.manifest import open_manifest

    return open_manifest(folder / artifact, verify=False).labels
