"""`millis pick`: the best student of elastic weights that keeps a budget, cut out, measured and exported."""

from collections.abc import Sequence
from pathlib import Path

from omegaconf import DictConfig
from rich import box
from rich.table import Table

from millis.cli.plain import plain
from millis.cli.recipes import bundled_run
from millis.cli.targets import instantiate
from millis.pipeline.pick import Member, Picked, pick
from millis.pipeline.place import Place
from millis.record import write_records
from millis.report.records import print_notes
from millis.report.text import wide_console
from millis.store import fingerprint
from millis.units import SIGN, label, percent, show


def run(cfg: DictConfig) -> Picked:
    """Pick, then print what was looked at and what the budget takes."""
    outputs, cache = (Path(path).absolute() for path in (cfg.paths.outputs, cfg.paths.cache))
    asked = bundled_run(
        Path(str(cfg.artifact)), Place(outputs, cache), instantiate(cfg.data) if "data" in cfg else None,
        backend=instantiate(cfg.backend), quantization=instantiate(cfg.quantization),
        benchmark=instantiate(cfg.benchmark), budget=plain(cfg.budget),
    )  # fmt: skip
    picked = pick(asked, plain(cfg.student), cfg.finalists)
    records = [one.record for one in picked.members if one.record is not None]
    path = outputs / "pick" / fingerprint([record.id for record in records])[:8] / "records.jsonl"
    write_records(path, records)
    console = wide_console()
    console.print(_table(picked.members, SIGN[asked.teacher.inputs.metric.better]))
    print_notes(picked.record.notes, console)
    console.print(picked.choice.sentence(), soft_wrap=True, highlight=False)
    console.print(f"records: {path}", soft_wrap=True, highlight=False)
    return picked


def _table(members: Sequence[Member], sign: float) -> Table:
    """A line a student, the best as it is cut out first."""
    limits = [*members[0].predicted_ms]
    steering = next(f"validation_{one.record.quality}" for one in members if one.record is not None)
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    heads = [f"{label(name)} {what}" for name in limits for what in ("foretold", "measured")]
    for i, name in enumerate(["student", f"{label(steering)}, as cut", "deployed", *heads, "kept with"]):
        table.add_column(name, justify="right" if i else "left")
    for one in members:
        made, record = one.outcome, one.record
        deployed = "" if record is None else show(steering, record.metrics[steering], record.reading.unit)
        times = [
            cell
            for name in limits
            for cell in (show(name, one.predicted_ms[name]), show(name, one.metrics[name]) if made else "")
        ]
        table.add_row(
            one.name, f"{sign * one.quality:.1f}", deployed, *times, percent(made.probability) if made else ""
        )  # fmt: skip
    return table
