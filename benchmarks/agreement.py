"""Do independent `millis benchmark` runs of the same artifacts agree within the intervals they state?

    python benchmarks/agreement.py runs=4      # what else is given goes to `millis benchmark`

Latency does not depend on what weights hold, so the artifacts are made untrained, in seconds: the teacher on eager
PyTorch (the reference), the same on ONNX Runtime in fp32 and int8, and two students. For each pair of runs it prints
both numbers, and over all pairs how often the intervals overlap, how often the difference is within the combined
interval, and how many of the differences between models that one run calls measured the other finds. Exits with 1 if
intervals of a speed-up do not overlap, or a measured difference is not found.
"""

import subprocess
import sys
import tempfile
from itertools import combinations
from pathlib import Path

from results import Table

from millis import models
from millis.backends.artifact import write_artifact
from millis.backends.eager import Eager
from millis.backends.onnxruntime import OnnxRuntime
from millis.benchmark.statistics import Summary, agreement, told_apart
from millis.data.bundled import Bundled
from millis.models.load import Packaged
from millis.models.static import StaticStudent
from millis.models.student import TransformerStudent
from millis.quantization.spec import Quantization
from millis.record import read_records
from millis.storage.manifest import Manifest
from millis.tasks.classification import Classification

SHOWN = {"speedup": "speed-up", "latency_p50_ms": "p50 ms"}


def main() -> int:
    runs = int(next((word.removeprefix("runs=") for word in sys.argv[1:] if word.startswith("runs=")), 2))
    with tempfile.TemporaryDirectory() as scratch:
        folders = write_artifacts(Path(scratch))
        found = [benchmark(folders, Path(scratch) / f"{run}.jsonl") for run in range(runs)]
    pairs = list(combinations(found, 2))
    rows = [row for first, second in pairs for row in agreement(first, second, list(SHOWN))]
    with Table("artifact", "", "one run", "another", "differs", "intervals overlap", "within both") as table:
        for row in rows:
            numbers = (f"{row.first:.3f}", f"{row.second:.3f}", f"{row.difference_percent:+.1f} %")
            table.row(row.artifact, SHOWN[row.metric], *numbers, *("yes" if holds else "NO" for holds in row[-2:]))
    for metric, name in SHOWN.items():
        of = [row for row in rows if row.metric == metric and row.difference_percent]  # the reference's 1 is no finding
        overlap, within = (sum(getattr(row, what) for row in of) for what in ("overlap", "within"))
        print(f"{name}: of {len(of)} pairs, {overlap} have intervals that overlap, {within} differ within both")
    measured, again = repeated(pairs)
    print(f"of {measured} differences between models that a run calls measured, another run finds {again}")
    agree = again == measured and all(row.overlap for row in rows if row.metric == "speedup")
    print("the runs agree" if agree else "the runs DO NOT agree")
    return 0 if agree else 1


def repeated(pairs: list[tuple[dict[str, Summary], dict[str, Summary]]]) -> tuple[int, int]:
    """How many differences in speed-up one run calls measured, and how many of these the other has as well."""
    claims = [(claim, other) for pair in pairs for one, other in (pair, pair[::-1]) for claim in told_apart(one)]
    found = [other[less].metrics["speedup"] < other[more].metrics["speedup"] for (less, more), other in claims]
    return len(claims), sum(found)


def write_artifacts(folder: Path) -> list[Path]:
    """The reference first."""
    dataset = Bundled()()
    teacher, tokenizer = Packaged()(Classification(labels=dataset.labels).outputs, dataset.train.texts)
    int8, task = Quantization(), Classification(labels=dataset.labels)
    variants = {
        "teacher": (teacher.spec, Eager(), None),
        "teacher onnx": (teacher.spec, OnnxRuntime(), None),
        "teacher int8": (teacher.spec, OnnxRuntime(), int8),
        "transformer 3x384 int8": (TransformerStudent(layers=3).spec(teacher.spec), OnnxRuntime(), int8),
        "static 256": (StaticStudent().spec(teacher.spec), OnnxRuntime(), None),
    }
    folders = []
    for name, (spec, backend, quantization) in variants.items():
        manifest = Manifest(name, backend.name, spec, task.described(), ("input_ids", "attention_mask"), 128)
        folders.append(folder / name.replace(" ", "-"))
        write_artifact(folders[-1], models.build(spec), tokenizer, backend, manifest, quantization)
    return folders


def benchmark(folders: list[Path], records: Path) -> dict[str, Summary]:
    """One run of the command, in a process of its own."""
    artifacts = ",".join(map(str, folders))
    command = [
        str(Path(sys.executable).parent / "millis"),
        "benchmark",
        f"artifacts=[{artifacts}]",
        f"records={records}",
    ]
    given = [word for word in sys.argv[1:] if not word.startswith("runs=")]
    subprocess.run([*command, *given], check=True, stdout=subprocess.DEVNULL)
    return {record.name: Summary(record.metrics, record.intervals) for record in read_records(records)}


if __name__ == "__main__":
    sys.exit(main())
