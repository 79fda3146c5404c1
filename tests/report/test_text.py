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
