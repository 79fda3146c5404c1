"""`millis benchmark`: any artifacts, side by side, on this machine."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from hydra.core.hydra_config import HydraConfig
from numpy.typing import NDArray
from omegaconf import DictConfig

from millis.benchmark.quality import answer
from millis.benchmark.where import measure
from millis.cli.pipeline.analysis import analyse, check, recommended
from millis.cli.pipeline.inputs import load_inputs, plain
from millis.cli.targets import instantiate
from millis.early_exit.saving import exit_metrics
from millis.errors import MillisError, nearest
from millis.record import Record, write_records
from millis.report.analysis import print_analysis
from millis.report.records import print_notes, print_records
from millis.report.text import wide_console
from millis.serving.runner import bound_threads, check_trusted, load
from millis.storage.manifest import Manifest, open_manifest
from millis.store import fingerprint
from millis.tasks.contract import Task
from millis.tasks.judging import judge


def run(cfg: DictConfig) -> list[Record]:
    """Measure latency, size, memory and quality of `cfg.artifacts`; the reference comes first in every round."""
    artifacts = _named([Path(str(artifact)) for artifact in cfg.artifacts])
    reference = cfg.reference or next(iter(artifacts))
    if reference not in artifacts:
        raise MillisError(f"reference={reference!r} is none of {', '.join(artifacts)}{nearest(reference, artifacts)}")
    manifests = {name: open_manifest(folder) for name, folder in artifacts.items()}
    for manifest in manifests.values():
        check_trusted(manifest, cfg.trust_code)
    inputs = load_inputs(cfg)
    check_tasks(manifests, inputs.task)
    check(cfg, manifests)
    threads = torch.get_num_threads()  # eager PyTorch sets them for the whole process
    options = instantiate(cfg.benchmark)
    measured = measure(artifacts, inputs.dataset.test.texts, reference, options)
    found_beyond = analyse(cfg, artifacts, manifests, inputs.dataset.test.texts, measured, options)
    runners = {
        name: load(folder, bound_threads(manifests[name], threads), verify=False, trust_code=cfg.trust_code)
        for name, folder in artifacts.items()
    }
    answers = {name: answer(runner, inputs.dataset.test.texts) for name, runner in runners.items()}
    records = []
    for name, folder in artifacts.items():
        found = measured[name]
        judgement = judge(inputs.task, answers[name].predictions, inputs.dataset.test.references)
        records.append(
            Record(
                id=fingerprint("benchmark", manifests[name].fingerprint, name, found.latency_ms),
                name=name,
                kind="teacher" if name == reference else "student",
                quality=inputs.task.metric,
                metrics={**judgement.values, **_left(manifests[name], answers[name].steps), **found.metrics},
                intervals={**judgement.intervals, **found.intervals},
                config=manifests[name].recipe,
                seed=int(manifests[name].recipe.get("seed", 0)),
                artifact=str(folder.absolute()),
                predictions=judgement.answers,
                references=judgement.references,
                latency_ms=found.latency_ms,
                processes=found.processes,
                reference_latency_ms=found.reference_latency_ms,
                stages_ms=found.stages_ms,
                parity=manifests[name].parity,
                notes=[*inputs.dataset.notes, *found.notes],
                analysis=found_beyond[name],
                judged=judgement.judged,
                environment={**found.environment, "data": inputs.data_fingerprint, "benchmark": plain(cfg.benchmark)},
            )
        )
    path = Path(cfg.records) if cfg.records else _run_folder(cfg) / "records.jsonl"
    write_records(path, records)
    _show(cfg, records, inputs.dataset.notes, options, reference, path)
    return records


def _show(
    cfg: DictConfig, records: list[Record], notes: Sequence[str], options: Any, reference: str, path: Path
) -> None:
    console = wide_console()
    print_records(records, console=console)
    print_notes(notes, console)
    print_analysis(records, console)
    if (crowding := options.crowded()) is not None:
        console.print(f"warning: {crowding}", soft_wrap=True)
    for name, sentence in recommended(cfg, records):
        console.print(f"{name}: {sentence}", soft_wrap=True)
    console.print(f"speed-ups are over {reference}; records: {path}", soft_wrap=True, highlight=False)


def _left(manifest: Manifest, steps: NDArray[np.int64]) -> dict[str, float]:
    """Where requests had their answer, of artifacts that may stop early."""
    if manifest.is_cascade:
        return {"fast_share": 100 * float((steps == 1).mean())}
    return exit_metrics(manifest.spec, steps) if manifest.spec.get("exits") else {}


def _named(folders: list[Path]) -> dict[str, Path]:
    """Artifacts by manifest name; two of one name are told apart by their folders."""
    names = [open_manifest(folder, verify=False).name for folder in folders]
    return {
        name if names.count(name) == 1 else f"{name} ({folder})": folder
        for name, folder in zip(names, folders, strict=True)
    }


def check_tasks(manifests: dict[str, Manifest], task: Task) -> None:
    """Refuse artifacts that give other answers than the data has.

    Raises:
        MillisError: names the artifact.
    """
    for name, manifest in manifests.items():
        if manifest.answers.identity != task.identity:
            raise MillisError(
                f"artifact {name!r} answers {manifest.answers.summary}, the data has {task.summary}: name the task and "
                "the data it was made for: task=... data=..."
            )


def _run_folder(cfg: DictConfig) -> Path:
    if HydraConfig.initialized():
        return Path(HydraConfig.get().runtime.output_dir)
    return Path(cfg.paths.outputs) / "benchmark"
