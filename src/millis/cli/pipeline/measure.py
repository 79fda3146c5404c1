"""Measured latency of an architecture, before it is trained, and kept so that it is measured once.

Dense matrix products take the same time whatever the weights are, so latency is a function of the architecture, the
backend, the tokenizer and the machine. A student with fresh weights tells what the trained one will cost. What undoes
that (`weights_decide`): layers that stay in fp32 by measurement; exits and dropped tokens, where weights and texts say
what is computed.
"""

import atexit
import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import torch
from omegaconf import DictConfig
from torch import nn

from millis import __version__, models
from millis.backends.artifact import write_artifact
from millis.backends.eager import EagerSession, segments_of
from millis.backends.scratch import fp32_bytes, scratch
from millis.benchmark.agent.client import AgentBench
from millis.benchmark.extend import extended
from millis.benchmark.latency import NOT_HOW, Bench, Measurement, Options
from millis.benchmark.where import open_bench, site
from millis.budget import judged_quantile, latency_limits, open_question
from millis.cli.pipeline.exits import settle
from millis.cli.pipeline.inputs import plain
from millis.cli.pipeline.plan import Plan
from millis.cli.pipeline.teacher import Teacher, pad_id
from millis.cli.targets import instantiate
from millis.data.batches import Rows, model_inputs
from millis.data.dataset import Split
from millis.early_exit.saving import measured_saving
from millis.models.tokenizer import longest
from millis.models.transformer import without_part
from millis.quantization.calibration import sample
from millis.serving.runner import dynamic_part
from millis.serving.stepwise import StepwiseSession
from millis.storage.manifest import Manifest
from millis.store import cached, fingerprint, locked, write_json
from millis.types import Features, Outputs, Session

COUNTED = 32  # texts whose tokens are counted together
WHOLE = "the same model, computed wholly"


def judged_latency(cfg: DictConfig, teacher: Teacher, planned: Plan, model: nn.Module | None = None) -> Measurement:
    """As `latency_of`, with the requests that the limits and objectives of `cfg` take.

    A latency near a limit, one that is neither kept nor broken with `budget.probability`, is measured again in fresh
    processes, until it is or `EXTENSIONS` are spent.
    """

    def measured(run: int) -> dict[str, Measurement]:
        with of_run(cfg, teacher, run) as asked:
            return {planned.name: latency_of(asked, teacher, planned, model)}

    found = extended(measured, lambda found: open_question(found[planned.name], cfg.budget))
    return found[planned.name]


@contextmanager
def of_run(cfg: DictConfig, teacher: Teacher, run: int) -> Iterator[DictConfig]:
    """`cfg` of the first measurement (`run` 0) or a further one: as many requests as its limits take, another seed.

    The processes of a further run end with it; those of the first stay for the next candidate.
    """
    asked = cfg.copy()
    names = [*latency_limits(cfg.budget), *map(str, cfg.study.directions if "study" in cfg else ())]
    asked.benchmark.quantile = judged_quantile(names, cfg.benchmark.quantile)
    asked.benchmark.seed += run
    try:
        yield asked
    finally:
        if run and (bench := _benches.pop((teacher.folder, instantiate(asked.benchmark)), None)):
            bench.close()


def latency_of(cfg: DictConfig, teacher: Teacher, planned: Plan, model: nn.Module | None = None) -> Measurement:
    """Latency, size and memory of the architecture on `cfg.backend`, side by side with the teacher.

    Args:
        model: The trained weights, read where `weights_decide` alone.
    """
    chosen = model if weights_decide(cfg) else None
    options: Options = instantiate(cfg.benchmark)
    path = teacher.inputs.cache / "latency" / f"{_latency_fingerprint(cfg, teacher, planned, chosen is not None)}.json"
    with locked(path, "this latency, which another process measures"):
        if not path.is_file():
            same = _is_reference(cfg, teacher, planned)
            timed = None if same else chosen or models.build(planned.spec)
            with scratch(0 if timed is None else fp32_bytes(timed)) as folder:
                artifact = teacher.folder if timed is None else folder / "untrained"
                if timed is not None:
                    write(cfg, teacher, timed, artifact, planned)
                if dynamic_part(planned.spec):
                    found = _beside_whole(cfg, teacher, planned, chosen, artifact)
                else:
                    found = measure(teacher, options, {planned.name: artifact})[planned.name]
            write_json(path, asdict(found))
    with cached(path):
        return Measurement(**json.loads(path.read_text()))


def _beside_whole(cfg: DictConfig, teacher: Teacher, planned: Plan, model: Any, artifact: Path) -> Measurement:
    """The measurement of a model that spends less on some texts; `measured_saving_share` is against the same model
    without that."""
    part = dynamic_part(planned.spec)
    assert part is not None
    whole, folder = without_part(model, part), artifact.with_name("whole")
    write(cfg, teacher, whole, folder, replace(planned, spec=whole.spec))
    found = measure(teacher, instantiate(cfg.benchmark), {planned.name: artifact, WHOLE: folder})
    early = found[planned.name]
    saving = measured_saving(early.latency_ms, found[WHOLE].latency_ms)
    return replace(early, metrics={**early.metrics, "measured_saving_share": saving})


def weights_decide(cfg: DictConfig) -> bool:
    """Whether latency depends on the weights: they say which layers stay in fp32, or what is computed."""
    quantization = instantiate(cfg.quantization)
    fallback = quantization is not None and quantization.fallback is not None
    return fallback or any(instantiate(cfg[group]) is not None for group in ("early_exit", "tokens"))


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
        max_length=longest(planned.tokenizer, teacher.manifest.max_length), recipe=plain(cfg),
        fingerprint=planned.fingerprint, files={},
    )  # fmt: skip
    texts: list[Features] = []
    if quantization is not None and quantization.calibrates:
        train = teacher.encoded(teacher.inputs.dataset.train, planned.tokenizer)
        texts = sample(train, quantization.calibration.texts)
    storage = instantiate(cfg.storage)
    written = write_artifact(folder, model, planned.tokenizer, backend, manifest, quantization, texts, storage)
    return settle(cfg, teacher, folder, written, planned.tokenizer) if planned.spec.get("exits") else written


def deployed(cfg: DictConfig) -> list[Any]:
    """The groups that say how weights become an artifact.

    Storage is among them where there is any, so that what was measured before there was such a group stays found.
    """
    nodes = [plain(node) for node in (cfg.backend, cfg.quantization)]
    return nodes if instantiate(cfg.storage) is None else [*nodes, plain(cfg.storage)]


def recipe_name(cfg: DictConfig, planned: Plan) -> str:
    """Architecture, bits and, where they are not the usual ones, storage and backend: `transformer 3x384 int8`."""
    quantization, storage = instantiate(cfg.quantization), instantiate(cfg.storage)
    backend = instantiate(cfg.backend)
    bits = getattr(backend, "precision", "fp32") if quantization is None else quantization.describe()
    words = [] if storage is None else [storage.describe()]
    device = getattr(backend, "device", "cpu")
    if backend.name != "onnxruntime" or device != "cpu":
        words.append(backend.name)
    if device != "cpu":
        words.append(device)
    return " ".join([planned.name, bits, *words])


_benches: dict[tuple[Path, Options], Bench | AgentBench] = {}


def measure(teacher: Teacher, options: Options, artifacts: Mapping[str, Path]) -> dict[str, Measurement]:
    """Measure `artifacts` beside the teacher; the reference's worker starts once a process, not once a trial."""
    key = (teacher.folder, options)
    if key not in _benches:
        _benches[key] = open_bench(teacher.folder, teacher.inputs.dataset.test.texts, options)
        atexit.register(_benches[key].close)
    try:
        return _benches[key].measure(artifacts)
    except BaseException:  # an interrupt too: a worker that died or was cut off mid-answer is no use to the next trial
        _benches.pop(key).close()
        raise


def _latency_fingerprint(cfg: DictConfig, teacher: Teacher, planned: Plan, trained: bool) -> str:
    nodes = [*deployed(cfg), benchmark_fingerprint(cfg)]
    same: dict[str, Any] = {
        "tokenizer": planned.tokenizer.to_str(),
        "max_length": longest(planned.tokenizer, teacher.manifest.max_length),
        "reference": teacher.manifest.spec,
    }
    if trained:
        same["weights"] = planned.fingerprint
        if planned.spec.get("exits"):
            same["early_exit"] = plain(cfg.early_exit)
    return fingerprint("latency", __version__, planned.spec, nodes, same, teacher.inputs.data_fingerprint)


def benchmark_fingerprint(cfg: DictConfig) -> str:
    """Of how latency is measured and of the machine that measures; not of its address or of how long to wait."""
    options: Options = instantiate(cfg.benchmark)
    how = {name: value for name, value in plain(cfg.benchmark).items() if name not in NOT_HOW}
    return fingerprint(how, site(options))


def eager_outputs(
    teacher: Teacher, model: nn.Module, planned: Plan, split: Split, texts: int, manifest: Manifest | None = None
) -> list[Outputs]:
    """What eager fp32 says of the first texts, one at a time, [texts]: backends are held against it.

    A model with exits stops there as the artifact of `manifest` does.
    """
    rows = Rows(teacher.encoded(split, planned.tokenizer), pad_id(planned.tokenizer))
    session: Session = EagerSession(model)
    if manifest is not None and manifest.early_exit is not None:
        leaves = manifest.early_exit["policy"], manifest.early_exit["threshold"]
        session = StepwiseSession(segments_of(model.eval()), *leaves)
    outputs = []
    for row in range(min(texts, len(split))):
        inputs = {name: tensor.numpy() for name, tensor in model_inputs(rows[row]).items()}
        outputs.append(session(Features(inputs["input_ids"], inputs["attention_mask"], inputs.get("token_type_ids"))))
    return outputs


def tokens_kept(teacher: Teacher, model: Any, planned: Plan, split: Split) -> float:
    """Share of the texts' tokens that a layer's feed-forward takes, averaged over layers, (0..1)."""
    rows, kept, all_tokens = Rows(teacher.encoded(split, planned.tokenizer), pad_id(planned.tokenizer)), 0.0, 0
    model.eval()
    for begin in range(0, len(split), COUNTED):  # who is beside a text in a batch changes nothing
        inputs = model_inputs(rows.__getitems__(list(range(begin, min(begin + COUNTED, len(split))))))
        kept += float(torch.stack(model.tokens_left(**inputs)).float().mean(dim=0).sum())
        all_tokens += int(inputs["attention_mask"].sum())
    return kept / all_tokens


@contextmanager
def own_threads() -> Iterator[None]:
    """PyTorch's thread count is the whole process's: whatever a runner sets, training goes on with its own."""
    before = torch.get_num_threads()
    try:
        yield
    finally:
        torch.set_num_threads(before)
