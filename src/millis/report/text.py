"""Rows as text: a table for the terminal (`print_frontier`) and Markdown for a README, from the same cells."""

from collections.abc import Sequence

from rich import box
from rich.console import Console
from rich.table import Table

from millis.report.records import WRITTEN
from millis.report.tables import Row, legend
from millis.units import half_width, label, percent

LEGEND = "95 % bootstrap intervals; P: probability of being on the frontier; = the member it cannot be told apart from"


def wide_console(stderr: bool = False) -> Console:
    """A console for tables: the terminal's width, or 120 columns where the output goes to a file or a pipe."""
    console = Console(stderr=stderr, highlight=False)
    return console if console.is_terminal else Console(stderr=stderr, highlight=False, width=120)


def frontier_header(rows: Sequence[Row]) -> list[str]:
    """Column names of `frontier_cells`."""
    written = [f"{label(name)} ms".replace(" p50", "") for name in _written(rows)]
    return ["", "model", label(rows[0].quality), *written, "p50 ms", "p99 ms", "speed-up", "size", "P", "="]


def _written(rows: Sequence[Row]) -> list[str]:
    """The columns of models that write, where there are any."""
    return [name for name in WRITTEN if any(name in row.metrics for row in rows)]


def frontier_cells(row: Row, marks: dict[str, str], written: Sequence[str] = ()) -> list[str]:
    """One row of the frontier table.

    Args:
        marks: Name → mark, so that ties take no room.
        written: Columns of models that write.
    """
    spread = half_width(row.intervals.get(row.quality, (0.0, 0.0)), row.reading.unit)
    return [
        row.mark,
        row.marked_name,
        f"{row.show(row.quality)}{spread}",
        *(_bare(row, name) for name in written),
        _bare(row, "latency_p50_ms"),
        _bare(row, "latency_p99_ms"),
        _bare(row, "speedup", keep_unit=True),
        _bare(row, "size_bytes", keep_unit=True),
        percent(row.probability),
        " ".join(marks[name] for name in row.ties),
    ]


def print_frontier(rows: Sequence[Row], console: Console | None = None) -> None:
    """Print the teacher, the baseline, the frontier and its ties; below, how many models they dominate."""
    console = console or wide_console()
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    for i, name in enumerate(frontier_header(rows)):
        table.add_column(name, justify="right" if i > 1 else "left", overflow="fold" if i == 1 else "ellipsis")
    marks = {row.name: row.mark for row in rows}
    for row in rows:
        if row.shown:
            style = "bold" if row.standing == "member" else "dim"
            table.add_row(*frontier_cells(row, marks, _written(rows)), style=style)
    console.print(table)
    dominated = sum(not row.shown for row in rows)
    for line in (f"{LEGEND}.", *legend(rows)):
        console.print(line, style="dim", highlight=False, markup=False)
    if dominated:
        console.print(f"{dominated} more measured, dominated by these.", style="dim", highlight=False)


def markdown(header: Sequence[str], cells: Sequence[Sequence[str]]) -> str:
    """A Markdown table: the first two columns left, the rest right aligned; `|` in cells is escaped."""
    lines = [header, ["---" if i < 2 else "---:" for i in range(len(header))], *cells]
    return "".join(f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in line)} |\n" for line in lines)


def frontier_markdown(rows: Sequence[Row]) -> str:
    """The frontier table as Markdown, with its legend."""
    marks = {row.name: row.mark for row in rows}
    cells = [frontier_cells(row, marks, _written(rows)) for row in rows if row.shown]
    return f"{markdown(frontier_header(rows), cells)}\n{' '.join([f'{LEGEND}.', *legend(rows)])}\n"


def _bare(row: Row, name: str, keep_unit: bool = False) -> str:
    if name not in row.metrics:
        return "–"
    text = row.show(name)
    return text if keep_unit else text.removesuffix(" ms")
