"""Ways to store one model: bytes, and what the lossy ones cost in quality.

    python benchmarks/storage.py ["only=archive,shared 4"] student=teacher quantization=dynamic data=local ...

The model is that of `millis compress` under the same overrides (trained now, or read where it lies), written in each
way and judged on the test split as it is deployed. Latency is not measured: what a request computes is the same. Prints
a Markdown table; sizes are of whole artifacts, tokenizer included, and ratios are over the teacher in fp32.
"""

import shutil
import sys
import tempfile
from dataclasses import replace
from pathlib import Path

import torch
from hydra.utils import instantiate
from omegaconf import DictConfig
from results import Table

from millis.benchmark.quality import answer
from millis.cli.hydra_app import composed
from millis.cli.recipes import run_of
from millis.pipeline.measure import recipe_name, write
from millis.pipeline.student import ensure_student, plan, settled
from millis.pipeline.teacher import Teacher
from millis.serving.runner import load
from millis.storage.manifest import FILE_NAME, Manifest, open_manifest, seal, size_bytes
from millis.tasks.judging import judge
from millis.units import half_width, show

TABLES = ["quantization.keep=[encoder.embeddings]"]  # they reach the archive in fp32
WAYS = {  # name → (overrides of the model, overrides of its storage)
    "files": ([], ["storage=none"]),
    "archive": ([], ["storage=archive"]),
    **{f"shared {bits}": ([], ["storage=shared", f"storage.lossy.0.bits={bits}"]) for bits in (6, 5, 4, 3, 2)},
    "int8 tables": (TABLES, ["storage=smallest", "storage.lossy.0.bits=8", "storage.lossy.1.bits=8"]),
    "int4 tables": (TABLES, ["storage=smallest", "storage.lossy.0.bits=4", "storage.lossy.1.bits=8"]),
    "smallest": (TABLES, ["storage=smallest"]),
    "smallest at 3 bits": (TABLES, ["storage=smallest", "storage.lossy.1.bits=3"]),
}


def main() -> int:
    only = next((a.removeprefix("only=").split(",") for a in sys.argv[1:] if a.startswith("only=")), list(WAYS))
    overrides = ["logger=none", *(argument for argument in sys.argv[1:] if not argument.startswith("only="))]
    if unknown := [name for name in only if name not in WAYS]:
        raise SystemExit(f"no way is called {unknown[0]!r}; there are {', '.join(WAYS)}")
    run = run_of(composed("compress", overrides))
    teacher = run.teacher
    planned = settled(run, plan(run))
    model, _ = ensure_student(run, planned)
    fp32, metric = size_bytes(teacher.manifest), teacher.inputs.task.metric
    columns = (recipe_name(run.recipe, planned), "MB", "× smaller", metric)
    with tempfile.TemporaryDirectory() as place, Table(*columns, title=teacher.inputs.dataset.name) as table:
        for name in only:
            model_overrides, storage_overrides = WAYS[name]
            plain = Path(place) / str(bool(model_overrides))
            if not plain.exists():
                write(run_of(composed("compress", [*overrides, *model_overrides]), teacher), model, plain, planned)
            folder = Path(place) / "packed"
            manifest = packed(plain, folder, composed("compress", storage_overrides))
            size, quality = size_bytes(manifest), judged(folder, teacher)
            table.row(name, f"{size / 1e6:.2f}", f"{fp32 / size:.1f}", quality)
            for note in (manifest.storage or {}).get("notes", []):
                print(f"  {name}: {note}", file=sys.stderr, flush=True)
            shutil.rmtree(folder)
    return 0


def packed(plain: Path, folder: Path, cfg: DictConfig) -> Manifest:
    """A copy of the artifact `plain`, stored as `cfg.storage` says."""
    manifest, storage = open_manifest(plain), instantiate(cfg.storage)
    shutil.copytree(plain, folder)
    if storage is None:
        return manifest
    (folder / FILE_NAME).unlink()
    told = storage.pack(folder, instantiate(cfg.backend).take_apart(folder))
    return seal(folder, replace(manifest, storage=told))


def judged(folder: Path, teacher: Teacher) -> str:
    """Quality on the test split, with its 95 % interval."""
    inputs, test = teacher.inputs, teacher.inputs.dataset.test
    predictions = answer(load(folder, torch.get_num_threads(), verify=False), test.texts).predictions
    name, unit = inputs.task.metric, inputs.metric.unit
    found = judge(inputs.task, predictions, test.references)
    return show(name, found.values[name], unit) + half_width(found.intervals[name], unit)


if __name__ == "__main__":
    sys.exit(main())
