"""A chart of milliseconds, on a logarithmic axis, drawn as SVG from the table that a benchmark has kept last."""

import json
import math
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from results import FOLDER

DOCS = Path(__file__).parents[1] / "docs"
WIDTH, HEIGHT, LEFT, BOTTOM, TOP, RIGHT = 720, 340, 60, 50, 20, 90


def kept(name: str, which: Callable[[Mapping[str, Any]], bool]) -> tuple[str, dict[str, list[str]]]:
    """Title and columns of the last table of `results/NAME.jsonl` for which `which` is true."""
    lines = (FOLDER / f"{name}.jsonl").read_text(encoding="utf-8").splitlines()
    table = [one for one in map(json.loads, lines) if which(one)][-1]
    return table["title"], {name: [row[i] for row in table["rows"]] for i, name in enumerate(table["columns"])}


def share(value: float, low: float, high: float) -> float:
    """Where a value lies between two, on a logarithmic axis, 0 to 1."""
    return math.log(min(max(value, low), high) / low) / math.log(high / low)


def draw(
    page: Path,
    title: str,
    axis: str,
    places: Sequence[float],
    marks: Mapping[str, float],
    lines: Mapping[str, tuple[str, Sequence[float], int]],
    ticks: Sequence[float],
    dots: bool = False,
) -> None:
    """Write a chart.

    Args:
        axis: What is written under it.
        places: Of the points from left to right, 0 to 1, [N].
        marks: What is written at which place under the axis.
        lines: Name → colour, milliseconds [N], and by how much its name is moved down.
        ticks: Milliseconds at which there are lines, ascending.
        dots: Whether points are marked.
    """

    def x(place: float) -> float:
        return LEFT + place * (WIDTH - LEFT - RIGHT)

    def y(ms: float) -> float:
        return HEIGHT - BOTTOM - share(ms, ticks[0], ticks[-1]) * (HEIGHT - BOTTOM - TOP)

    drawn = [
        f'<line x1="{LEFT}" x2="{WIDTH - RIGHT}" y1="{y(tick):.1f}" y2="{y(tick):.1f}" stroke="#8884"/>'
        f'<text x="{LEFT - 8}" y="{y(tick) + 4:.1f}" text-anchor="end">{tick:g}</text>'
        for tick in ticks
    ]
    drawn += [
        f'<text x="{x(place):.1f}" y="{HEIGHT - BOTTOM + 18}" text-anchor="middle">{mark}</text>'
        for mark, place in marks.items()
    ]
    for name, (colour, values, down) in lines.items():
        points = [(x(place), y(ms)) for place, ms in zip(places, values, strict=True)]
        path = " ".join(f"{a:.1f},{b:.1f}" for a, b in points)
        drawn.append(f'<polyline points="{path}" fill="none" stroke="{colour}" stroke-width="2"/>')
        if dots:
            drawn += [f'<circle cx="{a:.1f}" cy="{b:.1f}" r="3" fill="{colour}"/>' for a, b in points]
        drawn.append(f'<text x="{points[-1][0] + 8:.1f}" y="{points[-1][1] + down:.1f}" fill="{colour}">{name}</text>')
    drawn.append(f'<text x="{(LEFT + WIDTH - RIGHT) / 2:.0f}" y="{HEIGHT - 10}" text-anchor="middle">{axis}</text>')
    drawn.append(f'<text x="{LEFT - 8}" y="12" text-anchor="end">ms</text>')
    body = "\n".join(drawn)
    page.write_text(
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" font-family="sans-serif" '
        f'font-size="12" fill="#667">\n<title>{title}</title>\n{body}\n</svg>\n',
        encoding="utf-8",
    )
