"""`millis compress`: one recipe, from the teacher to a measured, deployable artifact."""

from pathlib import Path

from omegaconf import DictConfig

from millis.budget import describe_budget, latency_limits
from millis.cli.recipes import run_of
from millis.pipeline.compress import Skipped, compress, reference_records
from millis.record import Record, write_records
from millis.report.records import print_notes, print_records
from millis.report.text import wide_console
from millis.store import fingerprint
from millis.units import label, percent, show, show_limit


def run(cfg: DictConfig) -> Record | Skipped:
    """Compress, then print the teacher, the untouched baseline and the student side by side."""
    console = wide_console()
    asked = run_of(cfg)
    references = reference_records(asked)
    outcome = compress(asked)
    if isinstance(outcome, Skipped):
        console.print(_refusal(cfg, outcome), soft_wrap=True)
        return outcome
    records = list({record.id: record for record in [*references, outcome.record]}.values())
    path = Path(cfg.paths.outputs) / "compress" / fingerprint([record.id for record in records])[:8] / "records.jsonl"
    write_records(path, records)
    print_records(records, console=console)
    print_notes(outcome.record.notes, console)
    for limit, over in outcome.excess.items():
        if over > 0:
            console.print(f"over budget: {label(limit)} by {over:.0%}", highlight=False)
    if limits := latency_limits(cfg.budget):
        kept = percent(outcome.probability)
        console.print(f"{describe_budget(limits)}: kept with probability {kept}", soft_wrap=True, highlight=False)
    console.print(f"artifact: {outcome.record.artifact}\nrecords: {path}", soft_wrap=True)
    return outcome.record


def _refusal(cfg: DictConfig, skipped: Skipped) -> str:
    measured = skipped.measurement.metrics
    over = ", ".join(
        f"{label(limit)} {show(limit, measured[limit])}, limit {show_limit(limit, cfg.budget[limit])}"
        for limit, excess in skipped.excess.items()
        if excess > 0
    )
    chance = f"; kept with probability {percent(skipped.probability)}" if latency_limits(cfg.budget) else ""
    return (
        f"{skipped.name} is over the budget before training: {over}{chance}. "
        "Nothing was trained; choose a smaller student or a wider budget"
    )
