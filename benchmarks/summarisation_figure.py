"""Draws what `summarisation.py` has kept last of time against length: `docs/summarisation.svg`.

python benchmarks/summarisation_figure.py
"""

import json
import math
import sys
from pathlib import Path

from results import FOLDER

PAGE = Path(__file__).parents[1] / "docs" / "summarisation.svg"
WIDTH, HEIGHT, LEFT, BOTTOM, TOP, RIGHT = 720, 340, 60, 50, 20, 90
LINES = (("all ms", "#3b82f6"), ("survey ms", "#f97316"), ("close ms", "#10b981"), ("split ms", "#a855f7"))
TICKS = (0.1, 1, 10, 100, 1000)


def main() -> int:
    lines = (FOLDER / "summarisation.jsonl").read_text(encoding="utf-8").splitlines()
    table = [one for one in map(json.loads, lines) if one["title"].startswith("time against length")][-1]
    column = {name: [float(row[i].strip("×").replace(",", "")) for row in table["rows"]]
              for i, name in enumerate(table["columns"])}  # fmt: skip
    words = column["words"]

    def place(value: float, low: float, high: float) -> float:
        return math.log(max(value, low) / low) / math.log(high / low)

    def x(count: float) -> float:
        return LEFT + place(count, min(words), max(words)) * (WIDTH - LEFT - RIGHT)

    def y(ms: float) -> float:
        return HEIGHT - BOTTOM - place(ms, TICKS[0], TICKS[-1]) * (HEIGHT - BOTTOM - TOP)

    drawn = [
        f'<line x1="{LEFT}" x2="{WIDTH - RIGHT}" y1="{y(tick):.1f}" y2="{y(tick):.1f}" stroke="#8884"/>'
        f'<text x="{LEFT - 8}" y="{y(tick) + 4:.1f}" text-anchor="end">{tick:g}</text>'
        for tick in TICKS
    ]
    drawn += [
        f'<text x="{x(count):.1f}" y="{HEIGHT - BOTTOM + 18}" text-anchor="middle">{count:,.0f}</text>'
        for count in words
    ]
    for name, colour in LINES:
        points = [(x(count), y(ms)) for count, ms in zip(words, column[name], strict=True)]
        path = " ".join(f"{a:.1f},{b:.1f}" for a, b in points)
        drawn.append(f'<polyline points="{path}" fill="none" stroke="{colour}" stroke-width="2"/>')
        drawn.append(f'<text x="{points[-1][0] + 8:.1f}" y="{points[-1][1] + 4:.1f}" fill="{colour}">{name}</text>')
    drawn.append(f'<text x="{(LEFT + WIDTH - RIGHT) / 2:.0f}" y="{HEIGHT - 10}" text-anchor="middle">words</text>')
    drawn.append(f'<text x="{LEFT - 8}" y="12" text-anchor="end">ms</text>')
    body = "\n".join(drawn)
    PAGE.write_text(
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" font-family="sans-serif" '
        f'font-size="12" fill="#667">\n<title>{table["title"]}</title>\n{body}\n</svg>\n',
        encoding="utf-8",
    )
    return 0


if __name__ == "__main__":
    sys.exit(main())
