"""Records as a plain table: what was measured, with no frontier drawn through it."""

from collections.abc import Sequence

from rich import box
from rich.console import Console
from rich.table import Table

from millis.record import Judged, Record
from millis.units import half_width, label, show

COLUMNS = ("latency_p50_ms", "latency_p99_ms", "speedup", "size_bytes", "peak_memory_bytes", "cold_start_ms")
WRITTEN = ("first_token_p50_ms", "per_token_p50_ms")  # of models that write, before `COLUMNS` ...
LEFT_OUT = ("latency_p99_ms", "cold_start_ms")  # ... of which there is then no room for these


def record_cells(record: Record, metrics: Sequence[str]) -> list[str]:
    """Name, each of `metrics` with half its 95 % interval where it is a quality, and agreement with eager fp32."""
    cells = [record.name]
    for name in metrics:
        quality = record.judged.get(name, Judged()).unit
        spread = "" if name in (*WRITTEN, *COLUMNS) else half_width(record.intervals.get(name, (0.0, 0.0)), quality)
        cells.append(show(name, record.metrics[name], quality) + spread if name in record.metrics else "")
    agreement = record.parity.get("label_agreement")
    return [*cells, "" if agreement is None else f"{agreement:.1%}"]


def record_metrics(records: Sequence[Record]) -> list[str]:
    """Columns: every quality metric of the test split, `WRITTEN` where there are any, and the others of `COLUMNS`."""
    parts = (name for name in records[0].intervals if not name.endswith(("_ms", "_bytes")) and name != "speedup")
    written = [name for name in WRITTEN if any(name in record.metrics for record in records)]
    return [*parts, *written, *(name for name in COLUMNS if not (written and name in LEFT_OUT))]


def print_notes(notes: Sequence[str], console: Console) -> None:
    """Print what was decided on the way, a line each; brackets in them are no markup."""
    for note in notes:
        console.print(note, soft_wrap=True, highlight=False, markup=False)


def print_records(records: Sequence[Record], console: Console) -> None:
    """Print a line a record."""
    metrics = record_metrics(records)
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    for i, name in enumerate(["model", *map(label, metrics), "same answer"]):
        table.add_column(name, justify="right" if i else "left")
    for record in records:
        table.add_row(*record_cells(record, metrics))
    console.print(table)
