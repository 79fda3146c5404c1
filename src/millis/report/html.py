"""One page that answers the question: `frontier.html`, self-contained, opened from disk without a network.

The layout is `page.html`; plotly.js is inlined once (about 5 MB). Every text that comes from records is escaped.
"""

from collections.abc import Mapping, Sequence
from html import escape
from pathlib import Path
from string import Template

import plotly.graph_objects as go
from plotly.offline import get_plotlyjs

from millis.budget import Choice, limits_of, pick
from millis.frontier import Frontier, teacher_of
from millis.metrics import counted
from millis.record import Record
from millis.report import analysis, figures, tables
from millis.store import atomic_file
from millis.units import change, label, percent, points, show, significant

Cell = tuple[str, str]
"""A table cell: its HTML (already escaped) and its class: `number`, `text` or nothing."""


def write_html(
    path: Path,
    records: Sequence[Record],
    frontier: Frontier,
    title: str,
    budget: Mapping[str, float | None] | None = None,
) -> None:
    """Write the report of one study.

    Args:
        path: The file to write; replaced whole or not at all.
        records: One study's records, one of them the teacher.
        frontier: Computed from these records.
        title: What was studied, such as "Sentiment, one core".
        budget: As for `millis.budget.pick`. What it picks is the headline and the last column of before and after,
            and its limits are drawn. Without one, the headline is the fastest model within a point of the teacher.

    Raises:
        MillisError: not exactly one teacher, a frontier of other records, a budget that names no metric, or a path
            that cannot be written.
    """
    page = render(records, frontier, title, budget)
    with atomic_file(path) as temporary:
        temporary.write_text(page, encoding="utf-8")


def render(
    records: Sequence[Record], frontier: Frontier, title: str, budget: Mapping[str, float | None] | None = None
) -> str:
    """The page as a string; see `write_html`."""
    rows = tables.frontier_rows(records, frontier)
    by_id = {record.id: record for record in records}
    shown = [by_id[row.id] for row in rows if row.shown]
    limits = limits_of(budget or {})
    choice = pick(records, budget or {}, frontier.unbeaten) if limits else None
    template = Template((Path(__file__).parent / "page.html").read_text(encoding="utf-8"))
    return template.substitute(
        title=escape(title),
        headline=escape(tables.headline(rows, choice)),
        plotly=get_plotlyjs(),
        frontier_chart=_chart(figures.frontier_figure(rows, frontier.latency, limits), "frontier"),
        frontier_table=_frontier_table(rows),
        resamples=frontier.resamples,
        comparison=_comparison(rows, by_id, choice),
        prices=_prices(tables.price_rows(rows, frontier.latency)),
        stages_chart=_chart(figures.stages_figure(tables.stage_rows(shown)), "stages"),
        latency_chart=_chart(figures.latency_figure(tables.latency_rows(shown)), "latency"),
        analysis=_analysis(records),
        recipes=_recipes(rows),
        method=_method(records, frontier),
        caveats=_caveats(tables.caveats(records)),
        environment=_table(["", ""], [[_code(key), _text(value)] for key, value in tables.environment_rows(records)]),
    )


def _chart(figure: go.Figure, name: str) -> str:
    drawing = figure.to_html(
        full_html=False,
        include_plotlyjs=False,
        div_id=f"{name}-chart",
        config={"responsive": True, "displayModeBar": False, "displaylogo": False},
    )
    return f'<div class="chart">{drawing}</div>'


def _table(header: Sequence[str], rows: Sequence[Sequence[Cell]], classes: Sequence[str] = ()) -> str:
    kinds = [kind for _, kind in rows[0]] if rows else [""] * len(header)
    head = "".join(f'<th class="{kind}">{escape(name)}</th>' for name, kind in zip(header, kinds, strict=True))
    body = "".join(
        f'<tr class="{name}">' + "".join(f'<td class="{kind}">{cell}</td>' for cell, kind in row) + "</tr>\n"
        for row, name in zip(rows, classes or [""] * len(rows), strict=True)
    )
    top = f"<thead><tr>{head}</tr></thead>" if any(header) else ""
    return f'<div class="scroll"><table>{top}<tbody>{body}</tbody></table></div>'


def _text(text: str) -> Cell:
    return escape(text), "text"


def _code(text: str) -> Cell:
    return f"<code>{escape(text)}</code>", ""


def _number(text: str) -> Cell:
    return escape(text), "number"


def _measured(row: tables.Row, name: str) -> Cell:
    if name not in row.metrics:
        return "–", "number"
    text, unit = escape(row.show(name)), row.reading.unit
    if name in row.intervals:
        low, high = (show(name, end, unit).removesuffix(" ms").removesuffix("×") for end in row.intervals[name])
        text += f'<br><span class="interval">{escape(low)} to {escape(high)}</span>'
    return text, "number"


def _frontier_table(rows: Sequence[tables.Row]) -> str:
    names = (rows[0].quality, "latency_p50_ms", "latency_p99_ms", "speedup", "size_bytes")
    shown = [row for row in rows if row.shown]
    cells = [
        [
            (f"<b>{row.mark}</b>", ""),
            _text(row.marked_name),
            *(_measured(row, name) for name in names),
            _number(percent(row.probability)),
            _text(", ".join(row.ties)),
        ]
        for row in shown
    ]
    header = ["", "model", *(label(name) for name in names), "P", "tied with"]
    legend = "".join(f"<p>{escape(line)}</p>" for line in tables.legend(rows))
    return _table(header, cells, [row.standing for row in shown]) + legend


def _comparison(rows: Sequence[tables.Row], by_id: dict[str, Record], choice: Choice | None) -> str:
    after = choice.id if choice else best.id if (best := tables.best_trade(rows)) else rows[0].id
    before = [row.id for row in rows if row.kind != "student" and row.id != after]
    columns = [by_id[id] for id in dict.fromkeys([*before, after])]
    compared = tables.comparison(columns)
    cells = [[_text(row.metric), *map(_number, row.values), _number(row.change)] for row in compared]
    header = ["", *(record.name for record in columns), f"against {columns[0].name}"]
    return _table(header, cells)


def _prices(prices: Sequence[tables.Price]) -> str:
    cells = [
        [
            _text(f"{price.faster} → {price.slower}"),
            _number(change(price.points, price.unit)),
            _number(f"{significant(price.milliseconds)} ms"),
            _number(" ".join(filter(None, (significant(price.points_per_ms), points(price.unit), "per ms")))),
        ]
        for price in prices
    ]
    return _table(["step", "brings", "takes", "price"], cells) if cells else "<p>The frontier has one model only.</p>"


def _recipes(rows: Sequence[tables.Row]) -> str:
    teacher = dict(rows[0].recipe)
    parts = []
    for row in rows[1:]:
        if row.shown:
            cells = [[_code(key), _text(value), _text(teacher.get(key, "–"))] for key, value in row.recipe]
            table = _table(["setting", "this model", "teacher"], cells)
            parts.append(
                f"<details><summary><b>{row.mark}</b>&ensp;{escape(row.name)}</summary>{table}"
                f'<p class="note">Artifact: <code>{escape(row.artifact)}</code></p></details>'
            )
    note = '<p class="note">The settings that differ between the models of this study.</p>'
    return note + "".join(parts) if parts else "<p>Only the teacher has been measured.</p>"


def _analysis(records: Sequence[Record]) -> str:
    """Limit, profiles and curves, where `millis benchmark` was asked for them; otherwise nothing."""
    parts = []
    for title, header, cells in analysis.tables(records):
        body = [[_text(row[0]), *map(_number, row[1:])] for row in cells]
        parts.append(f"<h2>{escape(title)}</h2>{_table(header, body)}")
    panels = {
        axis: (*titles, lines) for axis, titles in analysis.AXES.items() if (lines := analysis.curves(records, axis))
    }
    if panels:
        parts.append(f"<h2>What settings do</h2>{_chart(figures.curves_figure(panels), 'curves')}")
    return "".join(parts)


def _method(records: Sequence[Record], frontier: Frontier) -> str:
    teacher = teacher_of(records)
    rounds = sorted({len(record.latency_ms) for record in records})
    requests = sorted({len(samples) for record in records for samples in record.latency_ms})
    objectives = ", ".join(f"{direction} {label(name)}" for name, direction in frontier.objectives.items())
    sentences = [
        f"Quality is {label(teacher.quality)} on {len(teacher.references)} test {counted(teacher.quality)}.",
        f"Latency is end to end, one request at a time, in a process of its own: {_span(rounds)} interleaved rounds of "
        f"{_span(requests)} requests drawn from the test texts, the same for every model. Speed-up is the median over "
        f"rounds of the ratio to {teacher.name} in the same round.",
        f"The frontier ({objectives}) is the set of models that no other one equals in every objective and beats in "
        f"one. Its uncertainty comes from {frontier.resamples} resamples of the test texts, the rounds and the "
        "requests, drawn alike for models that were measured together, and from what the processes of a model differ "
        "by.",
        "Two models are tied where the 95 % intervals of their paired differences include zero in every objective.",
        "Resampling does not see what another training seed would change.",
    ]
    return f"<p>{escape(' '.join(sentences))}</p>"


def _span(counts: Sequence[int]) -> str:
    return str(counts[0]) if counts[0] == counts[-1] else f"{counts[0]} to {counts[-1]}"


def _caveats(texts: Sequence[str]) -> str:
    return "<ul>" + "".join(f"<li>{escape(text)}</li>" for text in texts) + "</ul>" if texts else ""
