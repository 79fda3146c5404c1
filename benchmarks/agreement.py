"""Do two independent `millis benchmark` runs of the same artifacts agree on speed-ups within 5 % at p50?

Latency does not depend on what weights hold, so the artifacts are made untrained, in seconds: the teacher on eager
PyTorch (the reference), the same on ONNX Runtime in fp32 and int8, and two students. Exits with 1 on disagreement.
"""

import subprocess
import sys
import tempfile
from pathlib import Path

from rich import box
from rich.console import Console
from rich.table import Table

from millis import models
from millis.backends.artifact import write_artifact
from millis.backends.eager import Eager
from millis.backends.onnxruntime import OnnxRuntime
from millis.benchmark.statistics import agreement
from millis.data.bundled import Bundled
from millis.models.load import Packaged
from millis.models.static import StaticStudent
from millis.models.student import TransformerStudent
from millis.quantization.spec import Quantization
from millis.record import read_records
from millis.storage.manifest import Manifest

TOLERANCE_PERCENT = 5.0


def main() -> int:
    with tempfile.TemporaryDirectory() as scratch:
        folders = write_artifacts(Path(scratch))
        runs = [benchmark(folders, Path(scratch) / f"{name}.jsonl") for name in ("first", "second")]
    table = Table("artifact", box=box.SIMPLE_HEAD)
    for column in ("p50 ms, 1st", "2nd", "differs", "speed-up, 1st", "2nd", "differs"):
        table.add_column(column, justify="right")
    rows = agreement(*runs)
    for row in rows:
        table.add_row(
            row.name,
            f"{row.first_p50_ms:.3f}",
            f"{row.second_p50_ms:.3f}",
            f"{row.p50_difference_percent:+.1f} %",
            f"{row.first_speedup:.2f}",
            f"{row.second_speedup:.2f}",
            f"{row.speedup_difference_percent:+.1f} %",
        )
    Console(width=110).print(table)
    worst = max(rows, key=lambda row: abs(row.speedup_difference_percent))
    agree = abs(worst.speedup_difference_percent) <= TOLERANCE_PERCENT
    verdict = "agree" if agree else "DO NOT agree"
    print(f"the two runs {verdict}: {worst.name} differs most, {worst.speedup_difference_percent:+.1f} %, limit 5 %")
    return 0 if agree else 1


def write_artifacts(folder: Path) -> list[Path]:
    """The reference first."""
    dataset = Bundled()()
    teacher, tokenizer = Packaged()(len(dataset.labels), dataset.train.texts)
    int8 = Quantization()
    variants = {
        "teacher": (teacher.spec, Eager(), None),
        "teacher onnx": (teacher.spec, OnnxRuntime(), None),
        "teacher int8": (teacher.spec, OnnxRuntime(), int8),
        "transformer 3x384 int8": (TransformerStudent(layers=3).spec(teacher.spec), OnnxRuntime(), int8),
        "static 256": (StaticStudent().spec(teacher.spec), OnnxRuntime(), None),
    }
    folders = []
    for name, (spec, backend, quantization) in variants.items():
        manifest = Manifest(name, backend.name, spec, dataset.labels, ("input_ids", "attention_mask"), 128)
        folders.append(folder / name.replace(" ", "-"))
        write_artifact(folders[-1], models.build(spec), tokenizer, backend, manifest, quantization)
    return folders


def benchmark(folders: list[Path], records: Path) -> dict[str, dict[str, float]]:
    """One run of the command, in a process of its own: artifact → metrics."""
    artifacts = ",".join(map(str, folders))
    command = [
        str(Path(sys.executable).parent / "millis"),
        "benchmark",
        f"artifacts=[{artifacts}]",
        f"records={records}",
    ]
    subprocess.run([*command, *sys.argv[1:]], check=True, stdout=subprocess.DEVNULL)
    return {record.name: record.metrics for record in read_records(records)}


if __name__ == "__main__":
    sys.exit(main())
