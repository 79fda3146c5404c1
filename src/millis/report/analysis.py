"""What `millis benchmark` was asked for beyond latency, as rows, for the terminal and for the page."""

from collections.abc import Iterator, Sequence
from typing import TypedDict, cast

from rich import box
from rich.console import Console
from rich.table import Table

from millis import schema
from millis.errors import MillisError
from millis.record import Amount, Milliseconds, Record
from millis.schema import Count
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


class Rates(TypedDict):
    """What a machine reaches with some threads: operations and bytes a second."""

    threads: Count
    fp32: Amount | None
    bf16: Amount | None
    int8: Amount | None
    bandwidth: Amount
    cache_bytes: Count


class Limit(TypedDict):
    """A model against its floor; `millis.benchmark.limit` says more."""

    tokens: Count
    operations: Count
    bytes_read: Count
    precision: str
    floor_ms: Amount
    measured_ms: Amount
    over_floor: Amount
    tokenize_us: Amount
    python_us: Amount
    rates: list[Rates]


class Operator(TypedDict):
    """What one operator takes of a request."""

    name: str
    kind: str
    share: Amount
    microseconds: Amount


class Point(TypedDict):
    """A model under one setting."""

    axis: str
    threads: Count
    streams: Count
    batch: Count
    length: Count | None
    p50_ms: Milliseconds
    p99_ms: Milliseconds
    per_second: Amount


class Analysis(TypedDict, total=False):
    """What `record.analysis` may have."""

    limit: Limit
    profile: list[Operator]
    curves: list[Point]


def analysis_of(record: Record) -> Analysis:
    """A record's analysis, of which drawing it takes every field for granted.

    Raises:
        MillisError: a field that is missing or of another type.
    """
    try:
        return schema.checked(record.analysis, Analysis)
    except MillisError as error:
        raise MillisError(f"record {record.name!r} has an analysis that cannot be drawn: {error}") from error


def tables(records: Sequence[Record]) -> Iterator[tuple[str, Sequence[str], list[list[str]]]]:
    """(title, header, cells) of everything that was asked for."""
    found = [(record.name, analysis_of(record)) for record in records]
    limits = [(name, one["limit"]) for name, one in found if "limit" in one]
    if limits:
        yield "What this machine reaches", RATE_HEADER, [_rates(rates) for rates in limits[0][1]["rates"]]
        yield "Against the limit, for a request of the median length", LIMIT_HEADER, [_limit(*one) for one in limits]
    for name, one in found:
        if operators := one.get("profile"):
            cells = [_operator(operator) for operator in operators]
            yield f"The most expensive operators of {name}", PROFILE_HEADER, cells
    for name, one in found:
        if points := one.get("curves"):
            yield f"Settings of {name}", CURVE_HEADER, [_point(point) for point in points]


def curves(records: Sequence[Record], axis: str) -> list[tuple[str, list[float], list[float]]]:
    """(artifact, x, y) of one axis of `AXES`: milliseconds, or texts a second over all the CPUs that streams take."""
    found = []
    for record in records:
        points = [point for point in analysis_of(record).get("curves", []) if point["axis"] == axis]
        if axis == "streams":
            best: dict[int, float] = {}
            for point in points:
                taken = point["streams"] * point["threads"]
                best[taken] = max(best.get(taken, 0.0), point["per_second"])
            xs = sorted(best)
            found.append((record.name, [float(x) for x in xs], [best[x] for x in xs]))
        else:
            places = [float(cast(dict[str, float], point)[axis]) for point in points]
            found.append((record.name, places, [point["p50_ms"] for point in points]))
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


def _limit(name: str, limit: Limit) -> list[str]:
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


def _rates(rates: Rates) -> list[str]:
    arithmetic = (f"{rate / 1e9:.0f}" if rate else "–" for rate in (rates["fp32"], rates["bf16"], rates["int8"]))
    return [str(rates["threads"]), *arithmetic, f"{rates['bandwidth'] / 1e9:.1f}", size(rates["cache_bytes"])]


def _operator(operator: Operator) -> list[str]:
    return [operator["name"], operator["kind"], f"{operator['share']:.1%}", f"{operator['microseconds']:.1f}"]


def _point(point: Point) -> list[str]:
    length = "as texts come" if point["length"] is None else str(point["length"])
    times = (significant(point[name]) for name in ("p50_ms", "p99_ms"))
    return [
        *(str(point[name]) for name in ("threads", "streams", "batch")),
        length,
        *times,
        f"{point['per_second']:.0f}",
    ]
