"""What the native runtime does to a frontier: the same weights on ONNX Runtime and on native.

    python benchmarks/native_frontier.py [key=value ...]

Runs `millis compress` with each recipe on either backend, one after the other; weights are trained once. Speed-ups are
over the teacher on eager PyTorch, each measured in turns with it.
"""

import sys

from recipes import COLUMNS, cells, compressed
from results import Table

from millis.report.tables import frontier_rows
from millis.sweep.frontier import frontier

RECIPES = (
    ["student=teacher", "quantization=dynamic"],
    ["student.layers=3", "quantization=dynamic"],
    ["student.layers=2", "quantization=dynamic"],
    ["student=static"],
)
BACKENDS = ("onnxruntime", "native")


def main() -> int:
    overrides = ["logger=none", *sys.argv[1:]]
    records = {
        record.name: record  # the untouched teacher comes as a baseline too
        for recipe in RECIPES
        for backend in BACKENDS
        for record in compressed([*overrides, *recipe, f"backend={backend}"])
    }
    found = list(records.values())
    metric = found[0].quality
    title = next((one.rsplit("/", 1)[-1] for one in overrides if one.startswith("data.path=")), "bundled")
    with Table("model", metric.replace("_", " "), *COLUMNS, title=title) as table:
        for row in frontier_rows(found, frontier(found)):
            table.row(*cells(row, [metric]))
    return 0


if __name__ == "__main__":
    sys.exit(main())
