"""Intent and slots: the frontier of each data set, with all three of its metrics.

    python benchmarks/understanding.py FOLDER FOLDER ... [key=value ...]

Runs `millis sweep task=intent_slots` on each folder, one after the other, and prints one table. Nothing that lies
trained already is trained again, so a run that was broken off goes on.
"""

import sys
from pathlib import Path

from recipes import cells
from results import Table
from unseen import swept

from millis.report.tables import frontier_rows
from millis.sweep.frontier import frontier

METRICS = ("exact_match", "intent_accuracy", "slot_f1")
COLUMNS = ("data", "model", "exact match", "intent", "slot F1", "p50 ms", "speed-up", "size", "P")


def main() -> int:
    folders = [argument for argument in sys.argv[1:] if "=" not in argument]
    overrides = [argument for argument in sys.argv[1:] if "=" in argument]
    with Table(*COLUMNS) as table:
        for folder in folders:
            records = swept(Path(folder), ["task=intent_slots", *overrides])
            name = Path(folder).name
            for row in frontier_rows(records, frontier(records)):
                if not row.shown:
                    continue
                table.row(name, *cells(row, METRICS))
                name = ""
    return 0


if __name__ == "__main__":
    sys.exit(main())
