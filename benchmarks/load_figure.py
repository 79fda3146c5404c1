"""Draws what `load.py` has kept last of a sweep: latency against offered load, `docs/load.svg`.

python benchmarks/load_figure.py
"""

import sys

from drawn import DOCS, draw, kept

LINES = {"p50 ms": ("#3b82f6", 12), "p99 ms": ("#f97316", -6)}
TICKS = (0.5, 1, 2, 5, 10, 20, 50, 100, 200)


def main() -> int:
    title, column = kept("load", lambda table: table["columns"][0] == "offered")
    offered = [float(cell) for cell in column["requests/s"]]
    latest = max(offered) * 1.02
    draw(
        DOCS / "load.svg",
        title,
        "offered, requests/s",
        [rate / latest for rate in offered],
        {f"{rate}": rate / latest for rate in range(0, int(latest), 500)},
        {name: (colour, [float(cell) for cell in column[name]], down) for name, (colour, down) in LINES.items()},
        TICKS,
        dots=True,
    )
    return 0


if __name__ == "__main__":
    sys.exit(main())
