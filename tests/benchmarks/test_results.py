"""The tables of the benchmarks: printed row by row, kept when finished; those in README and docs are kept ones."""

import json
import re
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

import millis

ROOT = Path(__file__).parents[2]
MARK = re.compile(r"<!-- results: (\w+) -->")
NUMBER = re.compile(r"[<>≥≤~]?\s*[-−+±]?\d")
PAGES = ["README.md", *(f"docs/{page.name}" for page in sorted(ROOT.glob("docs/*.md")) if page.name != "config.md")]


@pytest.fixture
def results(monkeypatch, tmp_path):
    monkeypatch.syspath_prepend(str(ROOT / "benchmarks"))
    import results

    monkeypatch.setattr(results, "FOLDER", tmp_path / "results")
    monkeypatch.setattr(sys, "argv", ["benchmarks/speed.py", "rounds=2", "data/sets/sst2", "artifacts=[a/b,/c/d]"])
    return results


def test_a_finished_table_is_printed_and_kept(results, capsys, tmp_path):
    for time in ("1.5", "2.5"):
        with results.Table("model", "ms", title="one thread") as table:
            table.row("static", time)
    assert capsys.readouterr().out.startswith("\none thread\n\n| model | ms |\n|---|---:|\n| static | 1.5 |\n")
    lines = (tmp_path / "results" / "speed.jsonl").read_text(encoding="utf-8").splitlines()
    first, second = map(json.loads, lines)
    assert (first["rows"], second["rows"]) == ([["static", "1.5"]], [["static", "2.5"]])
    assert (first["columns"], first["title"], first["arguments"]) == (
        ["model", "ms"],
        "one thread",
        ["rounds=2", "sst2", "artifacts=[b,d]"],
    )
    assert first["version"] == millis.__version__
    assert "CPUs" in first["machine"]


def test_a_table_that_breaks_off_is_not_kept(results, tmp_path):
    with pytest.raises(KeyboardInterrupt), results.Table("model", "ms") as table:
        table.row("static", "1.5")
        raise KeyboardInterrupt
    assert not (tmp_path / "results").exists()


def test_a_row_has_a_cell_for_each_column(results):
    with pytest.raises(AssertionError), results.Table("model", "ms") as table:
        table.row("static")


def tables(page: str) -> Iterator[tuple[str | None, list[list[str]]]]:
    """(script named in the comment above, rows of cells without the header) of each table of a page."""
    script, rows = None, []
    for line in [*page.splitlines(), ""]:
        if line.startswith("|"):
            rows.append([cell.strip() for cell in line.strip("|").split("|")])
        else:
            if rows:
                yield script, rows[2:]
                script, rows = None, []
            script = mark[1] if (mark := MARK.search(line)) else script if not line else None


def kept(script: str) -> set[str]:
    """Cells of all tables that a script has kept."""
    lines = (ROOT / "benchmarks" / "results" / f"{script}.jsonl").read_text(encoding="utf-8").splitlines()
    return {cell for line in lines for row in json.loads(line)["rows"] for cell in row}


@pytest.mark.parametrize("name", PAGES)
def test_every_number_in_a_table_was_kept_by_its_benchmark(name):
    for script, rows in tables((ROOT / name).read_text(encoding="utf-8")):
        if script is None:
            numbers = {cell for row in rows for cell in row[1:] if NUMBER.match(cell)}
            assert not numbers, f"{name}: a table with numbers needs a comment `<!-- results: SCRIPT -->` above it"
        else:
            cells = {cell for row in rows for cell in row}
            assert cells - kept(script) == set(), f"{name}: not in benchmarks/results/{script}.jsonl"


def test_the_check_sees_a_number_that_was_not_kept():
    page = "text\n\n<!-- results: storage -->\n\n| a | b |\n|---|---:|\n| files | 3.8 |\n| wrong | 99.99 |\n"
    page += "\n| c | d |\n|---|---|\n| e | 5 |\n"
    (script, rows), (none, others) = tables(page)
    assert (script, none, others) == ("storage", None, [["e", "5"]])
    assert {cell for row in rows for cell in row[1:]} - kept("storage") == {"99.99"}


@pytest.mark.parametrize("path", sorted((ROOT / "benchmarks" / "results").glob("*.jsonl")), ids=lambda path: path.stem)
def test_kept_tables_are_whole(path):
    for line in path.read_text(encoding="utf-8").splitlines():
        table = json.loads(line)
        assert set(table) == {"version", "commit", "machine", "arguments", "title", "columns", "rows"}
        assert {len(row) for row in table["rows"]} == {len(table["columns"])}
