"""Draws what `load.py` has kept last of a sweep: latency against offered load, `docs/load.svg`.

python benchmarks/load_figure.py
"""

import json
import math
import sys
from pathlib import Path

from results import FOLDER

PAGE = Path(__file__).parents[1] / "docs" / "load.svg"
WIDTH, HEIGHT, LEFT, BOTTOM, TOP, RIGHT = 720, 340, 60, 50, 20, 90
LINES = (("p50 ms", "#3b82f6"), ("p99 ms", "#f97316"))
TICKS = (0.5, 1, 2, 5, 10, 20, 50, 100, 200)


def main() -> int:
    lines = (FOLDER / "load.jsonl").read_text(encoding="utf-8").splitlines()
    table = [one for one in map(json.loads, lines) if one["columns"][0] == "offered"][-1]
    column = {name: [row[i] for row in table["rows"]] for i, name in enumerate(table["columns"])}
    offered = [float(cell) for cell in column["requests/s"]]
    latest = max(offered) * 1.02
    low, high = TICKS[0], TICKS[-1]

    def x(rate: float) -> float:
        return LEFT + rate / latest * (WIDTH - LEFT - RIGHT)

    def y(ms: float) -> float:
        share = math.log(min(max(ms, low), high) / low) / math.log(high / low)
        return HEIGHT - BOTTOM - share * (HEIGHT - BOTTOM - TOP)

    drawn = [
        f'<line x1="{LEFT}" x2="{WIDTH - RIGHT}" y1="{y(tick):.1f}" y2="{y(tick):.1f}" stroke="#8884"/>'
        f'<text x="{LEFT - 8}" y="{y(tick) + 4:.1f}" text-anchor="end">{tick:g}</text>'
        for tick in TICKS
    ]
    drawn += [
        f'<text x="{x(rate):.1f}" y="{HEIGHT - BOTTOM + 18}" text-anchor="middle">{rate}</text>'
        for rate in range(0, int(latest), 500)
    ]
    for name, colour in LINES:
        points = [(x(rate), y(float(cell))) for rate, cell in zip(offered, column[name], strict=True)]
        path = " ".join(f"{a:.1f},{b:.1f}" for a, b in points)
        drawn.append(f'<polyline points="{path}" fill="none" stroke="{colour}" stroke-width="2"/>')
        drawn += [f'<circle cx="{a:.1f}" cy="{b:.1f}" r="3" fill="{colour}"/>' for a, b in points]
        shift = -6 if name.startswith("p99") else 12
        drawn.append(f'<text x="{points[-1][0] + 8:.1f}" y="{points[-1][1] + shift:.1f}" fill="{colour}">{name}</text>')
    drawn.append(
        f'<text x="{(LEFT + WIDTH - RIGHT) / 2:.0f}" y="{HEIGHT - 10}" text-anchor="middle">offered, requests/s</text>'
    )
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
