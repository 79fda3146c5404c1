"""Measured latency of an architecture, before it is trained, and kept so that it is measured once.

Dense matrix products take the same time whatever the weights are, so latency is a function of the architecture, the
backend, the tokenizer and the machine. A student with fresh weights tells what the trained one will cost.
"""

import atexit
import json
import tempfile
from collections.abc import Mapping
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

from hydra.utils import instantiate
from omegaconf import DictConfig
from torch import nn

from millis import __version__, models
from millis.backends.artifact import write_artifact
from millis.benchmark.environment import machine, packages
from millis.benchmark.latency import Bench, Measurement, Options
from millis.cli.pipeline.inputs import plain
from millis.cli.pipeline.plan import Plan
from millis.cli.pipeline.teacher import Teacher
from millis.quantization.calibration import sample
from millis.storage.manifest import Manifest
from millis.store import cached, fingerprint, locked, write_json
from millis.types import Features


def latency_of(cfg: DictConfig, teacher: Teacher, planned: Plan, model: nn.Module | None = None) -> Measurement:
    """Latency, size and memory of the architecture on `cfg.backend`, side by side with the teacher.

    Args:
        model: The trained weights, read where `weights_decide` alone.
    """
    chosen = model if weights_decide(cfg) else None
    options: Options = instantiate(cfg.benchmark)
    path = teacher.inputs.cache / "latency" / f"{_latency_fingerprint(cfg, teacher, planned, chosen is not None)}.json"
    with locked(path):
        if not path.is_file():
            with tempfile.TemporaryDirectory() as folder:
                artifact = Path(folder) / "untrained"
                if _is_reference(cfg, teacher, planned):
                    artifact = teacher.folder
                else:
                    write(cfg, teacher, chosen or models.build(planned.spec), artifact, planned)
                found = measure(teacher, options, {planned.name: artifact})[planned.name]
            write_json(path, asdict(found))
    with cached(path):
        return Measurement(**json.loads(path.read_text()))


def weights_decide(cfg: DictConfig) -> bool:
    """Whether latency depends on the weights: they say which layers stay in fp32."""
    quantization = instantiate(cfg.quantization)
    return quantization is not None and quantization.fallback is not None


def _is_reference(cfg: DictConfig, teacher: Teacher, planned: Plan) -> bool:
    """Whether this is the teacher on eager fp32, which the bench times in every round anyway."""
    same = planned.spec == teacher.manifest.spec and instantiate(cfg.backend).name == teacher.manifest.backend
    own = planned.tokenizer is teacher.tokenizer
    return same and own and instantiate(cfg.quantization) is None and instantiate(cfg.storage) is None


def write(cfg: DictConfig, teacher: Teacher, model: nn.Module, folder: Path, planned: Plan) -> Manifest:
    """Write `model` as an artifact for `cfg.backend`."""
    quantization = instantiate(cfg.quantization)
    backend = instantiate(cfg.backend)
    manifest = replace(
        teacher.manifest, name=recipe_name(cfg, planned), backend=backend.name, spec=planned.spec,
        recipe=plain(cfg), fingerprint=planned.fingerprint, files={},
    )  # fmt: skip
    texts: list[Features] = []
    if quantization is not None and quantization.calibrates:
        train = teacher.encoded(teacher.inputs.dataset.train, planned.tokenizer)
        texts = sample(train, quantization.calibration.texts)
    storage = instantiate(cfg.storage)
    return write_artifact(folder, model, planned.tokenizer, backend, manifest, quantization, texts, storage)


def deployed(cfg: DictConfig) -> list[Any]:
    """The groups that say how weights become an artifact.

    Storage is among them where there is any, so that what was measured before there was such a group stays found.
    """
    nodes = [plain(node) for node in (cfg.backend, cfg.quantization)]
    return nodes if instantiate(cfg.storage) is None else [*nodes, plain(cfg.storage)]


def recipe_name(cfg: DictConfig, planned: Plan) -> str:
    """Architecture, bits and, where they are not the usual ones, storage and backend: `transformer 3x384 int8`."""
    quantization, storage = instantiate(cfg.quantization), instantiate(cfg.storage)
    backend = instantiate(cfg.backend).name
    bits = "fp32" if quantization is None else quantization.describe()
    words = [] if storage is None else [storage.describe()]
    return " ".join([planned.name, bits, *words, *([] if backend == "onnxruntime" else [backend])])


_benches: dict[tuple[Path, Options], Bench] = {}


def measure(teacher: Teacher, options: Options, artifacts: Mapping[str, Path]) -> dict[str, Measurement]:
    """Measure `artifacts` beside the teacher; the reference's worker starts once a process, not once a trial."""
    key = (teacher.folder, options)
    if key not in _benches:
        _benches[key] = Bench(teacher.folder, teacher.inputs.dataset.test.texts, options)
        atexit.register(_benches[key].close)
    try:
        return _benches[key].measure(artifacts)
    except BaseException:  # an interrupt too: a worker that died or was cut off mid-answer is no use to the next trial
        _benches.pop(key).close()
        raise


def _latency_fingerprint(cfg: DictConfig, teacher: Teacher, planned: Plan, trained: bool) -> str:
    nodes = [*deployed(cfg), plain(cfg.benchmark)]
    same: dict[str, Any] = {
        "tokenizer": planned.tokenizer.to_str(),
        "max_length": teacher.manifest.max_length,
        "reference": teacher.manifest.spec,
        "machine": (machine()["cpu"], machine()["cpu_flags"], packages()),
    }
    if trained:
        same["weights"] = planned.fingerprint
    return fingerprint("latency", __version__, planned.spec, nodes, same, teacher.inputs.data_fingerprint)
