import io
from dataclasses import replace

import pytest
from rich.console import Console

from millis.frontier import Frontier
from millis.record import Record
from millis.report import tables, text


@pytest.mark.parametrize("width", [100, 120])
def test_terminal_table_fits_and_is_not_cut(records: list[Record], frontier: Frontier, width: int) -> None:
    out = io.StringIO()
    text.print_frontier(tables.frontier_rows(records, frontier), Console(file=out, width=width))
    lines = out.getvalue().splitlines()
    assert max(map(len, lines)) <= width
    assert "…" not in out.getvalue()
    assert any("transformer 3x384 int8 mse" in line and line.rstrip().endswith("3") for line in lines)
    assert "2 more measured, dominated by these." in lines


def test_markdown(records: list[Record], frontier: Frontier) -> None:
    rows = tables.frontier_rows(records, frontier)
    lines = text.frontier_markdown([replace(rows[0], name="a|b"), *rows[1:]]).splitlines()
    assert lines[0] == "|  | model | accuracy | p50 ms | p99 ms | speed-up | size | P | = |"
    assert lines[2].startswith("| T | a\\|b | 94.0 ± 1.9 |")
    assert len([line for line in lines if line.startswith("|")]) == 2 + 7


@pytest.mark.parametrize(("share", "shown"), [(1.0, "> 99 %"), (0.0, "< 1 %"), (0.454, "45 %")])
def test_no_resample_is_certain(share: float, shown: str) -> None:
    assert text.percent(share) == shown


def of_writers(rows: list[tables.Row]) -> list[tables.Row]:
    times = {"first_token_p50_ms": 2.5, "per_token_p50_ms": 0.75}
    return [replace(row, metrics={**row.metrics, **times}) for row in rows]


def test_what_writes_has_columns_of_its_first_token_and_of_each_after_it(
    records: list[Record], frontier: Frontier
) -> None:
    rows = tables.frontier_rows(records, frontier)
    lines = text.frontier_markdown(of_writers(rows)).splitlines()
    assert lines[0] == (
        "|  | model | accuracy | first token ms | per token ms | p50 ms | p99 ms | speed-up | size | P | = |"
    )
    assert "| 2.50 | 0.750 |" in lines[2]
    mixed = text.frontier_markdown([*of_writers(rows[:1]), *rows[1:]]).splitlines()
    assert "| – | – |" in mixed[3]


def test_the_table_of_what_writes_is_not_cut(records: list[Record], frontier: Frontier) -> None:
    out = io.StringIO()
    text.print_frontier(of_writers(tables.frontier_rows(records, frontier)), Console(file=out, width=120))
    assert max(map(len, out.getvalue().splitlines())) <= 120 and "…" not in out.getvalue()
