"""The table of a build: both chains, by measure and by step."""

from collections.abc import Mapping, Sequence

from rich import box
from rich.console import Console
from rich.table import Table

from millis.applications.measure import Measure
from millis.benchmark.latency import Measurement
from millis.report.records import print_notes
from millis.units import half_width, show

TIMES = {"latency_p50_ms": "turn p50", "latency_p99_ms": "turn p99", "speedup": "speed-up"}


def chain_cells(measures: Sequence[Measure], measured: Measurement) -> dict[str, str]:
    """Column → cell of a chain: each measure with half its 95 % interval, each step's median, the whole turn, size."""
    cells = {one.name.replace("_", " "): _shown(one) for one in measures}
    cells |= {f"{step} p50": show("latency_p50_ms", took) for step, took in measured.stages_ms.items()}
    cells |= {column: show(name, measured.metrics[name]) for name, column in TIMES.items()}
    return cells | {"size": show("size_bytes", measured.metrics["size_bytes"])}


def kept(uncompressed: Sequence[Measure], compressed: Sequence[Measure]) -> str:
    """What the compressed chain keeps of the first measure: `right action: 98.7 % of the uncompressed chain's`."""
    before, after = uncompressed[0], compressed[0]
    share = f"{100 * after.value / before.value:.1f} %" if before.value else "nothing"
    return f"{after.name.replace('_', ' ')}: {share} of the uncompressed chain's"


def print_chains(chains: Mapping[str, tuple[Sequence[Measure], Measurement]], console: Console) -> None:
    """Print the chains side by side, a line a measure or time: the first is the uncompressed one."""
    cells = {name: chain_cells(*chain) for name, chain in chains.items()}
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    table.add_column("")
    for name in cells:
        table.add_column(name, justify="right")
    for line in next(iter(cells.values())):
        table.add_row(line, *(chain.get(line, "") for chain in cells.values()))
    console.print(table)
    (before, _), (after, measured) = chains.values()
    console.print(kept(before, after), soft_wrap=True, highlight=False)
    print_notes(measured.notes, console)


def _shown(measure: Measure) -> str:
    spread = half_width(measure.interval(), measure.unit)
    return f"{show(measure.name, measure.value, measure.unit)}{spread}"
