"""The commands as Python functions: the same overrides, the same caches, and results returned.

from millis import api
record = api.compress("student=static", "quantization=dynamic")
runner = api.load(record.artifact)
"""

from importlib import import_module
from pathlib import Path
from typing import Any

from millis.applications.runner import load
from millis.cli.hydra_app import composed, launch, settled, split
from millis.pipeline.application import Built
from millis.pipeline.compress import Skipped
from millis.pipeline.pick import Picked
from millis.record import Record, read_records

__all__ = ["benchmark", "build", "cascade", "compress", "load", "pick", "read_records", "report", "sweep", "train"]


def train(*overrides: str) -> Record:
    """Fine-tune a teacher (or find it done): `train("data=local", "data.path=my/folder")`."""
    record: Record = _call("train", overrides)
    return record


def compress(*overrides: str) -> Record | Skipped:
    """Carry out one recipe: `compress("student=static", "quantization=dynamic")`."""
    outcome: Record | Skipped = _call("compress", overrides)
    return outcome


def benchmark(*overrides: str) -> list[Record]:
    """Measure artifacts side by side: `benchmark("artifacts=[a,b]")`."""
    records: list[Record] = _call("benchmark", overrides)
    return records


def build(*overrides: str) -> Built:
    """Make an application: `build("app=customer_service")`; `load(build(...).folder)` answers."""
    built: Built = _call("build", overrides)
    return built


def cascade(*overrides: str) -> list[Record]:
    """Make one artifact of two and measure it last, beside them: `cascade("fast=a", "accurate=b")`."""
    records: list[Record] = _call("cascade", overrides)
    return records


def pick(*overrides: str) -> Picked:
    """Cut the student that keeps a budget out of elastic weights:
    `pick("artifact=FOLDER", "budget.latency_p99_ms=2")`."""
    picked: Picked = _call("pick", overrides)
    return picked


def sweep(*overrides: str) -> list[Record]:
    """Search the frontier; returns the study's records: `sweep("study.n_trials=8")`."""
    launch("sweep", import_module("millis.cli.sweep").run, list(overrides))
    cfg = composed("sweep", split(list(overrides))[0])
    return read_records(Path(cfg.paths.outputs) / "sweep" / cfg.study.name / "records.jsonl")


def report(*overrides: str) -> Path:
    """Draw records as a page, or tell the effects of crossed choices as JSON; returns the path:
    `report("records=FILE")`, `report("effects=[pruning,quantization]")`."""
    written: Path = _call("report", overrides)
    return written


def _call(command: str, overrides: tuple[str, ...]) -> Any:
    return import_module(f"millis.cli.{command}").run(settled(command, overrides))
