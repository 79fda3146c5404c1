"""What `millis benchmark` was asked for beyond latency, as rows, for the terminal and for the page."""

from collections.abc import Iterator, Sequence
from typing import Any

from rich import box
from rich.console import Console
from rich.table import Table

from millis.record import Record
from millis.units import significant, size

LIMIT_HEADER = (
    "model", "tokens", "operations", "bytes", "in", "floor ms", "compute ms", "× floor", "tokenize µs", "Python µs"
)  # fmt: skip
RATE_HEADER = ("threads", "fp32 Gop/s", "bf16 Gop/s", "int8 Gop/s", "GB/s", "largest cache")
PROFILE_HEADER = ("operator", "kind", "share", "µs")
CURVE_HEADER = ("threads", "streams", "batch", "tokens", "p50 ms", "p99 ms", "texts/s")
AXES = {
    "threads": ("threads", "p50 latency, ms"),
    "streams": ("streams · threads", "texts a second"),
    "batch": ("batch size", "compute, ms"),
    "length": ("tokens", "compute, ms"),
}


def tables(records: Sequence[Record]) -> Iterator[tuple[str, Sequence[str], list[list[str]]]]:
    """(title, header, cells) of everything that was asked for."""
    limits = [(record.name, record.analysis["limit"]) for record in records if "limit" in record.analysis]
    if limits:
        yield "What this machine reaches", RATE_HEADER, [_rates(rates) for rates in limits[0][1]["rates"]]
        yield "Against the limit, for a request of the median length", LIMIT_HEADER, [_limit(*one) for one in limits]
    for record in records:
        if operators := record.analysis.get("profile"):
            yield (
                f"The most expensive operators of {record.name}",
                PROFILE_HEADER,
                [_operator(one) for one in operators],
            )
    for record in records:
        if points := record.analysis.get("curves"):
            yield f"Settings of {record.name}", CURVE_HEADER, [_point(point) for point in points]


def curves(records: Sequence[Record], axis: str) -> list[tuple[str, list[float], list[float]]]:
    """(artifact, x, y) of one axis of `AXES`: milliseconds, or texts a second over all the CPUs that streams take."""
    found = []
    for record in records:
        points = [point for point in record.analysis.get("curves", ()) if point["axis"] == axis]
        if axis == "streams":
            best: dict[int, float] = {}
            for point in points:
                taken = point["streams"] * point["threads"]
                best[taken] = max(best.get(taken, 0.0), point["per_second"])
            xs = sorted(best)
            found.append((record.name, [float(x) for x in xs], [best[x] for x in xs]))
        else:
            found.append((record.name, [float(point[axis]) for point in points], [point["p50_ms"] for point in points]))
    return [(name, xs, ys) for name, xs, ys in found if xs]


def print_analysis(records: Sequence[Record], console: Console) -> None:
    """Print every table."""
    for title, header, cells in tables(records):
        table = Table(title=title, title_justify="left", box=box.SIMPLE_HEAD, pad_edge=False)
        for i, name in enumerate(header):
            table.add_column(name, justify="right" if i else "left", overflow="fold")
        for row in cells:
            table.add_row(*row)
        console.print(table)


def _limit(name: str, limit: dict[str, Any]) -> list[str]:
    numbers = (limit["floor_ms"], limit["measured_ms"])
    return [
        name,
        str(limit["tokens"]),
        f"{limit['operations'] / 1e6:.1f} M",
        size(limit["bytes_read"]),
        limit["precision"],
        *(f"{number:.4f}" for number in numbers),
        f"{limit['over_floor']:.1f}",
        f"{limit['tokenize_us']:.0f}",
        f"{limit['python_us']:.0f}",
    ]


def _rates(rates: dict[str, Any]) -> list[str]:
    arithmetic = (f"{rates[kind] / 1e9:.0f}" if rates[kind] else "–" for kind in ("fp32", "bf16", "int8"))
    return [str(rates["threads"]), *arithmetic, f"{rates['bandwidth'] / 1e9:.1f}", size(rates["cache_bytes"])]


def _operator(operator: dict[str, Any]) -> list[str]:
    return [operator["name"], operator["kind"], f"{operator['share']:.1%}", f"{operator['microseconds']:.1f}"]


def _point(point: dict[str, Any]) -> list[str]:
    length = "as texts come" if point["length"] is None else str(point["length"])
    times = (significant(point[name]) for name in ("p50_ms", "p99_ms"))
    return [
        *(str(point[name]) for name in ("threads", "streams", "batch")),
        length,
        *times,
        f"{point['per_second']:.0f}",
    ]
