"""Tables that benchmarks print and keep.

A row is printed when it is measured. A finished table is appended to `benchmarks/results/<script>.jsonl`, one JSON
object a line: version, commit, machine, arguments, title, columns, rows. Tables in README and `docs/` stand under a
comment `<!-- results: <script> -->`, and a test refuses one with a number that is not in that file.
"""

import json
import re
import sys
from pathlib import Path
from types import TracebackType
from typing import Self

import millis
from millis.benchmark.environment import git_commit, machine

FOLDER = Path(__file__).parent / "results"
FOLDERS = re.compile(r"[^=,\[]*/")  # of the machine that measured: they say nothing elsewhere
COMMIT = git_commit(Path(__file__).parent)  # before a table is added to the tree


class Table:
    """A Markdown table; use as a context manager.

    Args:
        columns: Their heads. All but the first are aligned to the right.
        title: What tells this table from others of the same script.
    """

    def __init__(self, *columns: str, title: str = "") -> None:
        self.columns, self.title = columns, title
        self.rows: list[tuple[str, ...]] = []

    def __enter__(self) -> Self:
        if self.title:
            print(f"\n{self.title}\n")
        print(f"| {' | '.join(self.columns)} |\n|---{'|---:' * (len(self.columns) - 1)}|", flush=True)
        return self

    def row(self, *cells: str) -> None:
        """Print and keep one row."""
        assert len(cells) == len(self.columns), (cells, self.columns)
        self.rows.append(cells)
        print(f"| {' | '.join(cells)} |", flush=True)

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        if kind is None:
            append(Path(sys.argv[0]).stem, sys.argv[1:], self)


def append(script: str, arguments: list[str], table: Table) -> None:
    """Keep `table` with what a reader needs to compare it with another."""
    here = machine()
    line = {
        "version": millis.__version__,
        "commit": COMMIT,
        "machine": f"{here['cpu']}, {here['cpus']} CPUs, {' '.join(here['cpu_flags'])}",
        "arguments": [FOLDERS.sub("", argument) for argument in arguments],
        "title": table.title,
        "columns": table.columns,
        "rows": table.rows,
    }
    FOLDER.mkdir(exist_ok=True)
    with (FOLDER / f"{script}.jsonl").open("a", encoding="utf-8") as file:
        file.write(json.dumps(line, ensure_ascii=False) + "\n")
