"""What is printed of records beside their table."""

import io
from dataclasses import replace

from rich.console import Console

from millis.record import Judged, Record
from millis.report.records import print_notes, record_cells


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
