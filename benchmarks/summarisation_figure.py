"""Draws what `summarisation.py` has kept last of time against length: `docs/summarisation.svg`.

python benchmarks/summarisation_figure.py
"""

import sys

from drawn import DOCS, draw, kept, share

LINES = {"all ms": "#3b82f6", "survey ms": "#f97316", "close ms": "#10b981", "split ms": "#a855f7"}
TICKS = (0.1, 1, 10, 100, 1000)


def main() -> int:
    title, column = kept("summarisation", lambda table: table["title"].startswith("time against length"))
    words, *times = ([float(cell.replace(",", "")) for cell in column[name]] for name in ("words", *LINES))
    places = [share(count, min(words), max(words)) for count in words]
    marks = {f"{count:,.0f}": place for count, place in zip(words, places, strict=True)}
    lines = {name: (colour, values, 4) for (name, colour), values in zip(LINES.items(), times, strict=True)}
    draw(DOCS / "summarisation.svg", title, "words", places, marks, lines, TICKS)
    return 0


if __name__ == "__main__":
    sys.exit(main())
