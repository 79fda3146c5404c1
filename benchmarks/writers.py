"""Models that write: students beside their teacher, with time to the first token and time a token.

    python benchmarks/writers.py task=language_model data=local data.path=FOLDER [key=value ...]

Runs `millis compress` with each recipe, one after the other, and prints one table. `recipes=2` takes the first two;
the last two are for tasks that write an answer for a text.
Nothing that lies trained already is trained again, so a run that was broken off goes on.
"""

import sys

from recipes import COLUMNS, cells, compressed, divided
from results import Table

from millis.cli.hydra_app import composed
from millis.cli.recipes import inputs_of
from millis.metrics import judged
from millis.report.records import WRITTEN
from millis.report.tables import Row, frontier_rows
from millis.sweep.frontier import frontier
from millis.units import label, show

OWN = {"recipes": "4"}
INT8 = "quantization=dynamic"
TWICE = "augmentation=sequence_level"
RECIPES = (
    ["student.layers=2", INT8],
    ["student.layers=2", INT8, "distillation=none"],
    ["student.layers=1", INT8],
    ["student.layers=2", "student.ffn_size=0.5", INT8],
    ["student.layers=2", INT8, TWICE],
    ["student.layers=2", INT8, TWICE, "distillation=none"],
)


def main() -> int:
    own, given = divided(sys.argv[1:], OWN)
    given = ["model=scratch_decoder", "logger=none", *given]
    inputs = inputs_of(composed("compress", given))
    metrics = list(judged(inputs.task.metrics()))
    chosen = RECIPES[: int(own["recipes"])]
    records = {record.id: record for recipe in chosen for record in compressed([*given, *recipe])}
    columns = ("model", *(name.replace("_", " ") for name in metrics), *map(label, WRITTEN), *COLUMNS)
    with Table(*columns, title=f"{inputs.task.name} {inputs.dataset.name}") as table:
        found = list(records.values())
        for row in frontier_rows(found, frontier(found)):
            name, *rest = cells(row, metrics)
            table.row(name, *rest[: len(metrics)], *written(row), *rest[len(metrics) :])
    return 0


def written(row: Row) -> list[str]:
    """Milliseconds to the first token, and a token after it."""
    return [show(name, row.metrics[name]).removesuffix(" ms") for name in WRITTEN]


if __name__ == "__main__":
    sys.exit(main())
