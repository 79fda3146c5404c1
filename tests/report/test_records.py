"""What is printed of records beside their table."""

import io

from rich.console import Console

from millis.report.records import print_notes


def test_notes_are_printed_as_they_are_a_line_each():
    console = Console(file=io.StringIO(), width=20)
    notes = ["label '[bold]' is a class, and not a missing label", "label '[/x]' too"]
    print_notes(notes, console)
    assert console.file.getvalue().splitlines() == notes
