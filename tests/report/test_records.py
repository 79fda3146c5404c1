"""What is printed of records beside their table."""

import io
import re
from dataclasses import replace

from rich.console import Console

from millis.record import Judged, Record
from millis.report.records import print_notes, print_records, record_cells, record_metrics


def test_notes_are_printed_as_they_are_a_line_each():
    console = Console(file=io.StringIO(), width=20)
    notes = ["label '[bold]' is a class, and not a missing label", "label '[/x]' too"]
    print_notes(notes, console)
    assert console.file.getvalue().splitlines() == notes


def test_each_quality_has_its_own_unit(records: list[Record]):
    one = replace(
        records[0],
        metrics={**records[0].metrics, "perplexity": 12.34},
        intervals={**records[0].intervals, "perplexity": (12.0, 13.0)},
        judged={**records[0].judged, "perplexity": Judged("lower", "nats")},
    )
    assert record_cells(one, ["accuracy", "perplexity"])[1:3] == ["94.0 ± 1.9", "12.3 nats ± 0.500"]


def written(record: Record) -> Record:
    """The record of a model that writes."""
    times = {"first_token_p50_ms": 2.5, "per_token_p50_ms": 0.75, "first_token_p99_ms": 3.0}
    intervals = {name: (value - 0.5, value + 0.5) for name, value in times.items()}
    return replace(record, metrics={**record.metrics, **times}, intervals={**record.intervals, **intervals})


def test_what_writes_has_columns_of_its_first_token_and_of_each_after_it(records: list[Record]):
    plain = record_metrics(records)
    assert "first_token_p50_ms" not in plain
    both = record_metrics([records[0], written(records[1])])
    at = both.index("first_token_p50_ms")
    assert both[at : at + 3] == ["first_token_p50_ms", "per_token_p50_ms", "latency_p50_ms"]
    left_out = {"latency_p99_ms", "cold_start_ms"}  # there is no room for them
    assert [name for name in both if name not in both[at : at + 2]] == [one for one in plain if one not in left_out]
    assert record_cells(written(records[0]), both)[at + 1 : at + 3] == ["2.50 ms", "0.750 ms"]
    assert record_cells(records[0], both)[at + 1 : at + 3] == ["", ""]
    console = Console(file=io.StringIO(), width=200)
    print_records([records[0], written(records[1])], console)
    assert re.search(r"first token p50\s+per token p50\s+p50", console.file.getvalue())
