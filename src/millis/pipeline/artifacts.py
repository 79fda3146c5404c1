"""Any artifacts, side by side on this machine: latency, size, memory, quality, and what else is asked."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from millis.benchmark.latency import Options
from millis.benchmark.quality import answer
from millis.benchmark.where import measure
from millis.described import described
from millis.early_exit.saving import exit_metrics
from millis.errors import MillisError, nearest
from millis.pipeline.analysis import Analysis, analyse, check
from millis.pipeline.inputs import Inputs
from millis.pipeline.records import assembled
from millis.record import Record
from millis.serving.runner import bound_threads, check_trusted, load
from millis.storage.manifest import Manifest, open_manifest
from millis.store import fingerprint
from millis.tasks.contract import Task
from millis.tasks.judging import judge


def measured_records(
    artifacts: Mapping[str, Path],
    inputs: Inputs,
    options: Options,
    asked: Analysis,
    reference: str,
    *,
    trust_code: bool = False,
) -> list[Record]:
    """A record of each artifact on the test split.

    Args:
        artifacts: Name → folder (`named`).
        reference: Name of that which comes first in every round, and which speed-ups are over.
        trust_code: Whether to load artifacts of machine code, which runs it.

    Raises:
        MillisError: an artifact that answers something else than the data asks, or that holds code which is not
            trusted; what `asked` cannot be had of them.
    """
    manifests = {name: open_manifest(folder) for name, folder in artifacts.items()}
    for manifest in manifests.values():
        check_trusted(manifest, trust_code)
    check_tasks(manifests, inputs.task)
    check(asked, options.where, manifests)
    test = inputs.dataset.test
    threads = torch.get_num_threads()  # eager PyTorch sets them for the whole process
    measured = measure(artifacts, test.texts, reference, options)
    beyond = analyse(asked, artifacts, manifests, test.texts, measured, options, trust_code=trust_code)
    runners = {
        name: load(folder, bound_threads(manifests[name], threads), verify=False, trust_code=trust_code)
        for name, folder in artifacts.items()
    }
    answers = {name: answer(runner, test.texts) for name, runner in runners.items()}
    return [
        assembled(
            inputs,
            judge(inputs.task, answers[name].predictions, test.references),
            measured[name],
            id=fingerprint("benchmark", manifests[name].fingerprint, name, measured[name].latency_ms),
            name=name,
            kind="teacher" if name == reference else "student",
            metrics=_left(manifests[name], answers[name].steps),
            config=manifests[name].recipe,
            seed=int(manifests[name].recipe.get("seed", 0)),
            artifact=str(folder.absolute()),
            parity=manifests[name].parity,
            notes=[*inputs.dataset.notes, *measured[name].notes],
            analysis=beyond[name],
            environment={"benchmark": described(options)},
        )
        for name, folder in artifacts.items()
    ]


def reference_of(artifacts: Mapping[str, Path], asked: str | None) -> str:
    """The name of the reference: the first unless one is named.

    Raises:
        MillisError: none of that name.
    """
    reference = asked or next(iter(artifacts))
    if reference not in artifacts:
        raise MillisError(f"reference={reference!r} is none of {', '.join(artifacts)}{nearest(reference, artifacts)}")
    return reference


def _left(manifest: Manifest, steps: NDArray[np.int64]) -> dict[str, float]:
    """Where requests had their answer, of artifacts that may stop early."""
    if manifest.is_cascade:
        return {"fast_share": 100 * float((steps == 1).mean())}
    return exit_metrics(manifest.spec, steps) if manifest.spec.exits else {}


def named(folders: Sequence[Path]) -> dict[str, Path]:
    """Artifacts by manifest name; two of one name are told apart by their folders."""
    names = [open_manifest(folder, verify=False).name for folder in folders]
    return {
        name if names.count(name) == 1 else f"{name} ({folder})": folder
        for name, folder in zip(names, folders, strict=True)
    }


def check_tasks(manifests: Mapping[str, Manifest], task: Task) -> None:
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
