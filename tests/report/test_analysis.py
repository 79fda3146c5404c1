"""Hand-made analyses of two artifacts: what `millis benchmark` leaves in a record."""

import io
from dataclasses import replace

import pytest
from rich.console import Console

from millis.report.analysis import curves, print_analysis, tables
from millis.report.html import render
from millis.sweep.frontier import frontier as find_frontier

LIMIT = {
    "tokens": 12, "operations": 250_000_000, "bytes_read": 42_600_000, "precision": "fp32", "arithmetic_ms": 2.0,
    "memory_ms": 0.0, "measured_ms": 6.5, "tokenize_us": 31.0, "python_us": 4.4, "floor_ms": 2.0, "over_floor": 3.25,
    "rates": [
        {"threads": 1, "fp32": 125e9, "bf16": 0.0, "int8": 500e9, "bandwidth": 2.34e10, "cache_bytes": 32 << 20}
    ],
}  # fmt: skip


def point(axis, threads, streams, batch, length, p50, rate):
    return {
        "axis": axis, "threads": threads, "streams": streams, "batch": batch, "length": length, "p50_ms": p50,
        "p99_ms": 2 * p50, "per_second": rate,
    }  # fmt: skip


CURVES = [
    point("threads", 1, 1, 1, None, 4.0, 250.0),
    point("threads", 2, 1, 1, None, 3.0, 333.0),
    point("streams", 1, 1, 1, None, 4.0, 250.0),
    point("streams", 2, 1, 1, None, 3.0, 333.0),
    point("streams", 1, 2, 1, None, 4.2, 480.0),
    point("batch", 1, 1, 1, 16, 4.0, 250.0),
    point("batch", 1, 1, 8, 16, 20.0, 400.0),
]
PROFILE = [{"name": "/layer/MatMul", "kind": "MatMul", "share": 0.5, "microseconds": 123.4}]


@pytest.fixture
def analysed(records):
    first, second, *rest = records
    told = replace(first, analysis={"limit": LIMIT, "profile": PROFILE})
    return [told, replace(second, analysis={"curves": CURVES}), *rest]


def test_rows_by_hand(analysed):
    reached, limits, operators, settings = tables(analysed)
    assert reached[2] == [["1", "125", "–", "500", "23.4", "33.6 MB"]]
    assert limits[2] == [["teacher", "12", "250.0 M", "42.6 MB", "fp32", "2.0000", "6.5000", "3.2", "31", "4"]]
    assert operators[2] == [["/layer/MatMul", "MatMul", "50.0%", "123.4"]]
    assert settings[2][4] == ["1", "2", "1", "as texts come", "4.20 ms".removesuffix(" ms"), "8.40", "480"]
    assert list(tables([replace(record, analysis={}) for record in analysed])) == []


def test_streams_are_drawn_over_the_cpus_they_take(analysed):
    name = analysed[1].name
    # Two CPUs: two threads answer 333 a second, two streams 480.
    assert curves(analysed, "streams") == [(name, [1.0, 2.0], [250.0, 480.0])]
    assert curves(analysed, "threads") == [(name, [1.0, 2.0], [4.0, 3.0])]
    assert curves(analysed, "batch") == [(name, [1.0, 8.0], [4.0, 20.0])]
    assert curves(analysed, "length") == []


def test_the_terminal_and_the_page_show_them(analysed):
    page = render(analysed, find_frontier(analysed, resamples=5), "Analysed")
    console = Console(file=io.StringIO(), width=160)
    print_analysis(analysed, console)
    for text in (
        "Against the limit",
        "What this machine reaches",
        "The most expensive operators of teacher",
        "Settings of",
    ):
        assert text in page and text in console.file.getvalue()
    assert 'id="curves-chart"' in page and "/layer/MatMul" in page


def test_a_page_without_them_has_no_section(records):
    page = render(records, find_frontier(records, resamples=5), "Plain")
    assert "Against the limit" not in page and "curves-chart" not in page
