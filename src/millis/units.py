"""How a number is written: the unit at the end of a metric's name decides.

`latency_p50_ms` → "0.412 ms", `size_bytes` → "8.1 MB", `speedup` → "12.3×", `accuracy` → "93.4" (percent),
`expected_saving_share` → "41%" (of 0..1).
"""

import re

_SPECIAL = {
    "speedup": "speed-up",
    "quality_drop": "quality drop",
    "size_bytes": "size",
    "peak_memory_bytes": "peak memory",
    "cold_start_ms": "cold start",
    "compression_ratio": "compression",
}


def label(name: str) -> str:
    """A metric's name for people, without its unit: `latency_p99_ms` → "p99", `tokenize_p50_ms` → "tokenize p50"."""
    if name in _SPECIAL:
        return _SPECIAL[name]
    bare = re.sub(r"_(ms|bytes|points)$", "", name).replace("_", " ")
    return re.sub(r"^latency (?=p\d)", "", bare)


def unit(name: str) -> str:
    """The unit of a metric: "ms", "bytes", "×", "points", "layers" or, for shares and quality metrics, "%"."""
    if name.endswith("_ms"):
        return "ms"
    if name.endswith("_bytes"):
        return "bytes"
    if name.endswith("_points"):
        return "points"
    special = {"speedup": "×", "compression_ratio": "×", "quality_drop": "points", "exit_layer_mean": "layers"}
    return special.get(name, "%")


def show(name: str, value: float) -> str:
    """`value` with its unit; quality metrics, which are percentages, stand bare with one decimal."""
    kind = unit(name)
    if kind == "ms":
        return f"{significant(value)} ms"
    if kind == "bytes":
        return size(value)
    if kind == "×":
        return f"{significant(value)}×"
    if name.endswith("_share"):
        return f"{value:.0%}"
    if kind == "layers":
        return f"{value:.2f} layers"
    return f"{value:.1f} points" if kind == "points" else f"{value:.1f}"


def show_limit(name: str, limit: float) -> str:
    """A limit as the user would write it: "2 ms", "1.5 points", "50 MB"."""
    if unit(name) == "bytes":
        return re.sub(r"\.0+ ", " ", size(limit))
    return "1 point" if limit == 1 and unit(name) == "points" else f"{limit:g} {unit(name)}"


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
