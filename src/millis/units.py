"""How a number is written: the unit at the end of a metric's name decides.

`latency_p50_ms` → "0.412 ms", `size_bytes` → "8.1 MB", `speedup` → "12.3×", `expected_saving_share` → "41%" (of 0..1).

A quality metric's name has no unit: it is the metric's own (`millis.metrics.contract`), and functions here take it as
`quality`. Percentages stand bare, `accuracy` → "93.4", and differ by points; any other unit is written out.
"""

import re
from typing import Literal, TypeAlias

Better: TypeAlias = Literal["higher", "lower"]
"""Which values of a quality metric are the better ones."""

SIGN: dict[Better, float] = {"higher": 1.0, "lower": -1.0}
"""What makes more of a metric better."""

PERCENT = "%"
_SPECIAL = {
    "speedup": "speed-up",
    "quality_drop": "quality drop",
    "size_bytes": "size",
    "peak_memory_bytes": "peak memory",
    "cold_start_ms": "cold start",
    "compression_ratio": "compression",
}

_DECIMALS = {"layers": 2, "points": 1}  # where significant digits would tell more than is known


def label(name: str) -> str:
    """A metric's name for people, without its unit: `latency_p99_ms` → "p99", `tokenize_p50_ms` → "tokenize p50"."""
    if name in _SPECIAL:
        return _SPECIAL[name]
    bare = re.sub(r"_(ms|bytes|points)$", "", name).replace("_", " ")
    return re.sub(r"^latency (?=p\d)", "", bare)


def unit(name: str, quality: str = PERCENT) -> str:
    """The unit of a metric: "ms", "bytes", "×", "points", "layers", "%" for shares, or that of quality metrics."""
    if name.endswith("_ms"):
        return "ms"
    if name.endswith("_bytes"):
        return "bytes"
    if name.endswith("_points"):
        return "points"
    if name.endswith("_share"):
        return PERCENT
    special = {"speedup": "×", "compression_ratio": "×", "quality_drop": points(quality), "exit_layer_mean": "layers"}
    return special.get(name, quality)


def points(quality: str) -> str:
    """The unit of differences of a quality metric: "points" of percentages, else its own."""
    return "points" if quality == PERCENT else quality


def show(name: str, value: float, quality: str = PERCENT) -> str:
    """`value` with its unit; percentages of quality metrics stand bare with one decimal."""
    if name.endswith("_share"):
        return f"{value:.0%}"
    kind = unit(name, quality)
    if kind == "bytes":
        return size(value)
    if kind == "×":
        return f"{significant(value)}×"
    if kind in _DECIMALS:
        return f"{value:.{_DECIMALS[kind]}f} {kind}"
    return _written(value, kind)


def show_limit(name: str, limit: float, quality: str = PERCENT) -> str:
    """A limit as the user would write it: "2 ms", "1.5 points", "50 MB"."""
    kind = unit(name, quality)
    if kind == "bytes":
        return re.sub(r"\.0+ ", " ", size(limit))
    return "1 point" if limit == 1 and kind == "points" else f"{limit:g} {kind}".rstrip()


def change(value: float, quality: str = PERCENT) -> str:
    """A difference of a quality metric with its sign: "+0.6 points"."""
    sign = "-" if value < 0 else "+"
    return f"{value:+.1f} points" if quality == PERCENT else f"{sign}{_written(abs(value), quality)}"


def half_width(interval: tuple[float, float], quality: str = PERCENT) -> str:
    """Half of a quality metric's interval, as it stands behind the value: " ± 1.2"; nothing where it has no width."""
    low, high = interval
    half = (high - low) / 2
    return "" if not half > 0 else f" ± {half:.1f}" if quality == PERCENT else f" ± {significant(half)}"


def _written(value: float, kind: str) -> str:
    return f"{value:.1f}" if kind == PERCENT else f"{significant(value)} {kind}".rstrip()


def significant(value: float) -> str:
    """Three significant digits without an exponent, never finer than 0.001: 0.012, 0.412, 4.12, 41.2, 4120."""
    magnitude = abs(value)
    decimals = 3 if magnitude < 1 else 2 if magnitude < 10 else 1 if magnitude < 100 else 0
    return f"{value:.{decimals}f}"


def percent(probability: float) -> str:
    """A probability known from a finite number of resamples, never shown as certain: "97 %", "> 99 %"."""
    return "> 99 %" if probability > 0.99 else "< 1 %" if probability < 0.01 else f"{100 * probability:.0f} %"


def size(value: float) -> str:
    """Bytes in decimal units, as file managers show them: "840 B", "12.3 kB", "8.10 MB"."""
    for step, name in ((1e9, "GB"), (1e6, "MB"), (1e3, "kB")):
        if abs(value) >= step:
            return f"{significant(value / step)} {name}"
    return f"{value:.0f} B"
