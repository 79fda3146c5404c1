from dataclasses import replace
from math import log10

import pytest

from millis.frontier import Frontier
from millis.record import Judged, Record
from millis.report import figures, tables


@pytest.fixture
def rows(records: list[Record], frontier: Frontier) -> list[tables.Row]:
    return tables.frontier_rows(records, frontier)


def test_frontier_draws_every_record_once(rows: list[tables.Row], members: set[str]) -> None:
    figure = figures.frontier_figure(rows, "latency_p50_ms")
    line, *points = figure.data
    assert len(line.x) == len(members)
    assert line.line.shape == "hv"
    assert list(line.y) == sorted(line.y)
    assert {trace.name: len(trace.x) for trace in points} == {
        "dominated": 2,
        "tied with a frontier model": 1,
        "frontier": 4,
        "baseline, untouched": 1,
        "teacher": 1,
    }
    tied = next(trace for trace in points if trace.name.startswith("tied"))
    assert tied.marker.symbol == ("circle-open",)
    assert "distillation.loss: hidden mse" in tied.hovertext[0]
    assert all(error >= 0 for trace in points for error in (*trace.error_x.array, *trace.error_y.arrayminus))


def test_budget_lines_are_where_the_limits_are(rows: list[tables.Row]) -> None:
    figure = figures.frontier_figure(
        rows, "latency_p50_ms", {"latency_p50_ms": 2.0, "quality_drop": 2.5, "size_bytes": 1}
    )
    upright, level = figure.layout.shapes
    assert (upright.x0, upright.x1) == (2.0, 2.0)
    assert (level.y0, level.y1) == (91.5, 91.5)  # 94.0 - 2.5
    words = {note.text: note for note in figure.layout.annotations}
    assert words["≤ 2 ms"].x == pytest.approx(log10(2))  # on a log axis annotations take exponents


def test_axis_and_floor_are_in_the_metrics_unit_and_direction(rows: list[tables.Row]) -> None:
    assert figures.frontier_figure(rows, "latency_p50_ms").layout.yaxis.title.text == "accuracy, %"
    turned = [replace(row, reading=Judged("lower", "<nats>")) for row in rows]
    figure = figures.frontier_figure(turned, "latency_p50_ms", {"quality_drop": 2.5})
    assert figure.layout.yaxis.title.text == "accuracy, &lt;nats&gt;"
    assert figure.layout.shapes[0].y0 == 96.5  # 94.0 + 2.5
    assert "teacher + 2.5 &lt;nats&gt;" in {note.text for note in figure.layout.annotations}
    unknown = [replace(row, reading=Judged("higher", "")) for row in rows]
    assert figures.frontier_figure(unknown, "latency_p50_ms").layout.yaxis.title.text == "accuracy"


def test_latency_boxes_carry_the_percentiles() -> None:
    figure = figures.latency_figure([("a", {1: 1.0, 25: 2.0, 50: 3.0, 75: 4.0, 99: 5.0})])
    box = figure.data[0]
    ends = [box[name][0] for name in ("lowerfence", "q1", "median", "q3", "upperfence")]
    assert ends == [1.0, 2.0, 3.0, 4.0, 5.0]


def test_stages_add_to_the_whole() -> None:
    figure = figures.stages_figure([("a <b>", {"tokenize": 1.0, "feed": 0.5, "compute": 2.0, "decode": 0.5})])
    assert [bar.x[0] for bar in figure.data] == [25.0, 12.5, 50.0, 12.5]
    assert figure.data[0].y[0] == "a &lt;b&gt;<br>4.00 ms"


def test_stages_of_several_kinds_of_runners_stand_side_by_side() -> None:
    figure = figures.stages_figure(
        [("one", {"tokenize": 1.0, "compute": 3.0}), ("two", {"tokenize": 1.0, "write": 1.0})]
    )
    assert {bar.name: list(bar.x) for bar in figure.data} == {
        "tokenize": [25.0, 50.0], "compute": [75.0, 0.0], "write": [0.0, 50.0]
    }  # fmt: skip
    assert len({bar.marker.color for bar in figure.data}) == 3


def test_long_names_are_wrapped_and_many_settings_cut(rows: list[tables.Row]) -> None:
    assert figures._wrapped("transformer 3x384 int8 mse") == "transformer 3x384<br>int8 mse"
    assert len(figures._hover(rows[2], "latency_p50_ms").split("<br>")) <= figures.RECIPE_LINES + 4
