"""Figures from plain rows: the frontier, the latency distributions, where the time goes.

Colours are mid-tones that read on white and on near-black; text and grid take the page's colours (`page.html`), so
nothing here paints a background.
"""

import textwrap
from collections.abc import Mapping, Sequence
from html import escape
from itertools import cycle, pairwise
from math import log10

import plotly.graph_objects as go
from plotly.subplots import make_subplots

from millis.report.tables import Row
from millis.units import label, show_limit, significant, unit

COLOURS = {
    "teacher": "#c2553a",
    "baseline": "#8b6cc4",
    "linear": "#b08a2e",
    "student": "#2f80c9",
    "dominated": "#9aa0a6",
    "budget": "#2e9e6b",
}
STAGE_COLOURS = ("#e0a13c", "#8b6cc4", "#2f80c9", "#4fae8f", "#c2553a", "#b08a2e")
LINE_COLOURS = ("#2f80c9", "#c2553a", "#2e9e6b", "#8b6cc4", "#e0a13c", "#4fae8f")
FONT = "system-ui, -apple-system, 'Segoe UI', Roboto, sans-serif"
RECIPE_LINES = 10


def frontier_figure(rows: Sequence[Row], latency: str, budget: Mapping[str, float] | None = None) -> go.Figure:
    """Quality over latency (log axis), 95 % intervals both ways; hovering shows the recipe.

    Filled: on the frontier. Hollow: tied with a member. Faint: dominated. The teacher and the baseline are always
    drawn. The step line is the best quality measured at or below a latency. Limits of `budget` on the two axes are
    dotted lines.

    Args:
        rows: From `tables.frontier_rows`.
        latency: Metric of the x axis.
        budget: Limit name → value; those on `latency` and `quality_drop` are drawn.
    """
    quality = rows[0].quality
    figure = go.Figure(layout=_layout(430))
    members = sorted((row for row in rows if row.standing == "member"), key=lambda row: row.metrics[latency])
    figure.add_scatter(
        x=[row.metrics[latency] for row in members],
        y=[row.metrics[quality] for row in members],
        mode="lines",
        line={"shape": "hv", "color": COLOURS["student"], "width": 1.5},
        opacity=0.6,
        hoverinfo="skip",
        showlegend=False,
    )
    groups = (
        ("dominated", [row for row in rows if not row.shown]),
        ("tied with a frontier model", [row for row in rows if row.kind == "student" and row.standing == "tied"]),
        ("frontier", [row for row in rows if row.kind == "student" and row.standing == "member"]),
        ("baseline, untouched", [row for row in rows if row.kind == "baseline"]),
        ("linear model", [row for row in rows if row.kind == "linear"]),
        ("teacher", [row for row in rows if row.kind == "teacher"]),
    )
    for name, group in groups:
        if group:
            figure.add_trace(_points(name, group, latency))
    for row in _spread([row for row in rows if row.mark], latency):
        figure.add_annotation(row)
    _draw_budget(figure, rows, latency, budget or {})
    figure.update_xaxes(type="log", title=f"{label(latency)} latency, {unit(latency)} (log)", **_ticks(rows, latency))
    figure.update_yaxes(title=", ".join(filter(None, (label(quality), escape(rows[0].reading.unit)))))
    return figure


def latency_figure(rows: Sequence[tuple[str, Mapping[int, float]]]) -> go.Figure:
    """Boxes of the raw end-to-end samples: box p25 to p75, line p50, whiskers p1 to p99 (log axis).

    Args:
        rows: From `tables.latency_rows`, top first.
    """
    figure = go.Figure(layout=_layout(90 + 38 * len(rows)))
    figure.add_box(
        y=[_wrapped(name) for name, _ in rows],
        q1=[percentiles[25] for _, percentiles in rows],
        median=[percentiles[50] for _, percentiles in rows],
        q3=[percentiles[75] for _, percentiles in rows],
        lowerfence=[percentiles[1] for _, percentiles in rows],
        upperfence=[percentiles[99] for _, percentiles in rows],
        orientation="h",
        marker_color=COLOURS["student"],
        line_width=1.5,
        showlegend=False,
    )
    values = [percentiles[p] for _, percentiles in rows for p in (1, 99)]
    figure.update_xaxes(type="log", title="end-to-end latency, ms (log)", **_log_ticks(min(values), max(values)))
    figure.update_yaxes(autorange="reversed", showgrid=False)
    return figure


def stages_figure(rows: Sequence[tuple[str, Mapping[str, float]]]) -> go.Figure:
    """Where the time goes: each stage's share of the median request, with its milliseconds on the bar.

    Args:
        rows: From `tables.stage_rows`, top first.
    """
    figure = go.Figure(layout=_layout(120 + 46 * len(rows)))
    totals = [sum(stages.values()) for _, stages in rows]
    names = [f"{_wrapped(name)}<br>{significant(total)} ms" for (name, _), total in zip(rows, totals, strict=True)]
    found = dict.fromkeys(stage for _, stages in rows for stage in stages)  # in the order in which requests pass them
    for stage, colour in zip(found, cycle(STAGE_COLOURS)):
        taken = [stages.get(stage, 0.0) for _, stages in rows]
        shares = [100 * time / total if total else 0.0 for time, total in zip(taken, totals, strict=True)]
        times = [significant(time) for time in taken]
        figure.add_bar(
            name=stage,
            x=shares,
            y=names,
            orientation="h",
            marker_color=colour,
            text=[time if share >= 12 else "" for time, share in zip(times, shares, strict=True)],
            textposition="inside",
            insidetextanchor="middle",
            textangle=0,
            textfont_color="#ffffff",
            customdata=times,
            hovertemplate=f"{stage} %{{customdata}} ms (%{{x:.0f}} %)<extra></extra>",
        )
    figure.update_layout(barmode="stack", bargap=0.35, legend_traceorder="normal")
    figure.update_xaxes(title="share of the median request, %", range=[0, 100])
    figure.update_yaxes(autorange="reversed", showgrid=False)
    return figure


def curves_figure(
    panels: Mapping[str, tuple[str, str, Sequence[tuple[str, Sequence[float], Sequence[float]]]]],
) -> go.Figure:
    """What settings do: one panel an axis, one line a model, both axes logarithmic.

    Args:
        panels: Axis → (title of x, title of y, lines as (name, x, y)), at most four.
    """
    figure = make_subplots(rows=2, cols=2, vertical_spacing=0.2, horizontal_spacing=0.12)
    figure.update_layout(_layout(560))
    names = list(dict.fromkeys(name for _, _, lines in panels.values() for name, _, _ in lines))
    colours = {name: LINE_COLOURS[i % len(LINE_COLOURS)] for i, name in enumerate(names)}
    drawn: set[str] = set()
    for place, (x_title, y_title, lines) in enumerate(panels.values()):
        row, column = place // 2 + 1, place % 2 + 1
        for name, xs, ys in lines:
            figure.add_scatter(
                name=escape(name), legendgroup=name, showlegend=name not in drawn, x=list(xs), y=list(ys),
                mode="lines+markers", line={"color": colours[name], "width": 1.5}, row=row, col=column,
            )  # fmt: skip
            drawn.add(name)
        everything = [y for _, _, ys in lines for y in ys]
        values = sorted({x for _, xs, _ in lines for x in xs})
        figure.update_xaxes(
            type="log", title=x_title, tickvals=values, ticktext=[f"{x:g}" for x in values], row=row, col=column
        )
        figure.update_yaxes(
            type="log", title=y_title, row=row, col=column, **_log_ticks(min(everything), max(everything))
        )
    return figure


def _wrapped(name: str) -> str:
    """`name` in lines of about 20 characters, so that a phone keeps room for the bars."""
    return "<br>".join(escape(line) for line in textwrap.wrap(name, 20))


def _points(name: str, rows: Sequence[Row], latency: str) -> go.Scatter:
    faint = name == "dominated"
    colour = COLOURS["dominated"] if faint else COLOURS[rows[0].kind]
    hollow = [row.standing == "tied" for row in rows]
    return go.Scatter(
        name=name,
        x=[row.metrics[latency] for row in rows],
        y=[row.metrics[row.quality] for row in rows],
        error_x=_errors(rows, latency, colour),
        error_y=_errors(rows, rows[0].quality, colour),
        mode="markers",
        marker={
            "size": [7 if faint else 15 if open_ else 11 for open_ in hollow],
            "opacity": 1,
            "color": colour,
            "symbol": ["circle-open" if open_ else "circle" for open_ in hollow],
            "line": {"width": 2 if any(hollow) else 0},
        },
        opacity=0.45 if faint else 1,
        hovertext=[_hover(row, latency) for row in rows],
        hoverinfo="text",
    )


def _errors(rows: Sequence[Row], name: str, colour: str) -> dict[str, object]:
    ends = [(row.metrics[name], row.intervals.get(name, (row.metrics[name],) * 2)) for row in rows]
    return {
        "type": "data",
        "symmetric": False,
        "array": [max(0.0, high - value) for value, (_, high) in ends],
        "arrayminus": [max(0.0, value - low) for value, (low, _) in ends],
        "thickness": 1,
        "width": 3,
        "color": colour,
    }


def _hover(row: Row, latency: str) -> str:
    names = dict.fromkeys((row.quality, latency, "latency_p99_ms", "speedup", "size_bytes"))
    numbers = " · ".join(f"{label(name)} {escape(row.show(name))}" for name in names if name in row.metrics)
    lines = [f"<b>{escape(row.name)}</b>", numbers]
    if row.ties:
        lines.append(f"tied with {escape(', '.join(row.ties))}")
    lines += [escape(f"{key}: {value}"[:70]) for key, value in row.recipe[:RECIPE_LINES]]
    if len(row.recipe) > RECIPE_LINES:
        lines.append(f"and {len(row.recipe) - RECIPE_LINES} more settings, below")
    return "<br>".join(lines)


def _spread(rows: Sequence[Row], latency: str) -> list[dict[str, object]]:
    """Marks as annotations up and left of their points; a mark whose neighbour is close is put down and right."""
    ordered = sorted(rows, key=lambda row: (row.metrics[latency], -row.metrics[row.quality]))
    sides = [-1]
    for before, row in pairwise(ordered):
        near = log10(row.metrics[latency] / before.metrics[latency]) < 0.08
        sides.append(-sides[-1] if near else -1)
    return [
        {
            "x": log10(row.metrics[latency]),
            "y": row.metrics[row.quality],
            "text": f"<b>{row.mark}</b>",
            "showarrow": False,
            "xshift": 12 * side,
            "yshift": -11 * side,
            "font": {"size": 12, "color": COLOURS[row.kind]},
        }
        for row, side in zip(ordered, sides, strict=True)
    ]


def _draw_budget(figure: go.Figure, rows: Sequence[Row], latency: str, budget: Mapping[str, float]) -> None:
    """Dotted lines with their words; on a log axis shapes take values but annotations take exponents."""
    line = {"dash": "dot", "color": COLOURS["budget"], "width": 1.5}
    words = {"showarrow": False, "font": {"size": 11, "color": COLOURS["budget"]}}
    if latency in budget:
        limit = budget[latency]
        figure.add_shape(type="line", x0=limit, x1=limit, yref="paper", y0=0, y1=1, line=line)
        text = f"≤ {show_limit(latency, limit)}"
        figure.add_annotation(x=log10(limit), yref="paper", y=0, text=text, xanchor="left", yanchor="bottom", **words)
    if "quality_drop" in budget:
        teacher, reading = rows[0].metrics[rows[0].quality], rows[0].reading
        floor = teacher - reading.sign * budget["quality_drop"]
        figure.add_shape(type="line", y0=floor, y1=floor, xref="paper", x0=0, x1=1, line=line)
        most = escape(show_limit("quality_drop", budget["quality_drop"], reading.unit))
        text = f"teacher {'−' if reading.sign > 0 else '+'} {most}"
        figure.add_annotation(xref="paper", x=0, y=floor, text=text, xanchor="left", yanchor="top", **words)


def _ticks(rows: Sequence[Row], latency: str) -> dict[str, object]:
    values = [row.metrics[latency] for row in rows]
    return _log_ticks(min(values), max(values))


def _log_ticks(low: float, high: float) -> dict[str, object]:
    """1-2-5 ticks written plainly (0.05, 0.1, ...), at most about eight; plotly's own show bare mantissas."""
    steps = (1, 2, 5) if log10(high / low) < 2 else (1, 3) if log10(high / low) < 3 else (1,)
    values = [step * 10.0**power for power in range(-6, 8) for step in steps]
    values = [value for value in values if low / 3 <= value <= high * 3]
    return {"tickvals": values, "ticktext": [f"{value:g}" for value in values], "minor": {"showgrid": False}}


def _layout(height: int) -> dict[str, object]:
    axis = {"gridcolor": "#d9dce0", "zeroline": False, "automargin": True, "fixedrange": True, "ticks": ""}
    return {
        "height": height,
        "autosize": True,
        "margin": {"l": 8, "r": 12, "t": 16, "b": 8},
        "paper_bgcolor": "rgba(0,0,0,0)",
        "plot_bgcolor": "rgba(0,0,0,0)",
        "font": {"family": FONT, "size": 12, "color": "#3c4043"},
        "hoverlabel": {"bgcolor": "#20242a", "font": {"color": "#f3f4f6", "size": 12}, "align": "left"},
        "legend": {"orientation": "h", "y": 1.02, "yanchor": "bottom", "x": 0, "xanchor": "left"},
        "xaxis": axis,
        "yaxis": axis,
    }
