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
from torch import nn

from millis import models
from millis.backends.artifact import write_artifact
from millis.backends.modules import EagerSession, segments_of
from millis.backends.scratch import fp32_bytes, scratch
from millis.benchmark.agent.client import AgentBench
from millis.benchmark.extend import extended
from millis.benchmark.latency import Bench, Measurement, Options
from millis.benchmark.where import open_bench
from millis.budget import open_question
from millis.data.batches import Rows, model_inputs
from millis.data.dataset import Split
from millis.described import described
from millis.early_exit.saving import measured_saving
from millis.models.token_pruning import tokens_left
from millis.models.tokenizer import longest, pad_id
from millis.models.transformer import whole
from millis.pipeline import keys
from millis.pipeline.exits import settle
from millis.pipeline.plan import Plan
from millis.pipeline.recipe import Recipe
from millis.pipeline.run import Run
from millis.pipeline.teacher import Teacher
from millis.quantization.calibration import sample
from millis.serving.stepwise import StepwiseSession
from millis.storage.manifest import Manifest
from millis.store import cached, locked, write_json
from millis.types import Features, Outputs, Session

COUNTED = 32  # texts whose tokens are counted together
WHOLE = "the same model, computed wholly"


def judged_latency(run: Run, planned: Plan, model: nn.Module | None = None) -> Measurement:
    """As `latency_of`, with the requests that the run's limits and objectives take.

    A latency near a limit, one that is neither kept nor broken with the required probability, is measured again in
    fresh processes, until it is or `EXTENSIONS` are spent.
    """

    def measured(number: int) -> dict[str, Measurement]:
        with repeated(run, number) as asked:
            return {planned.name: latency_of(asked, planned, model)}

    found = extended(measured, lambda found: open_question(found[planned.name], run.budget))
    return found[planned.name]


@contextmanager
def repeated(run: Run, number: int) -> Iterator[Run]:
    """`run` as it is measured first (`number` 0) or further (`Run.repeated`).

    The processes of a further measurement end with it; those of the first stay for the next candidate.
    """
    asked = run.repeated(number)
    try:
        yield asked
    finally:
        if number and (bench := _benches.pop((run.teacher.folder, asked.benchmark), None)):
            bench.close()


def latency_of(run: Run, planned: Plan, model: nn.Module | None = None) -> Measurement:
    """Latency, size and memory of the architecture on the recipe's backend, side by side with the teacher.

    Args:
        model: The trained weights, read where they decide the latency alone.
    """
    teacher = run.teacher
    chosen = model if run.recipe.weights_decide else None
    path = teacher.inputs.cache / "latency" / f"{keys.latency(run, planned, chosen is not None)}.json"
    with locked(path, "this latency, which another process measures"):
        if not path.is_file():
            same = _is_reference(run, planned)
            timed = None if same else chosen or models.build(planned.spec)
            with scratch(0 if timed is None else fp32_bytes(timed)) as folder:
                artifact = teacher.folder if timed is None else folder / "untrained"
                if timed is not None:
                    write(run if chosen is not None else untrained(run), timed, artifact, planned)
                if planned.spec.is_dynamic:
                    found = _beside_whole(run, planned, chosen, artifact)
                else:
                    found = measure(teacher, run.benchmark, {planned.name: artifact})[planned.name]
            write_json(path, asdict(found))
    with cached(path):
        return Measurement(**json.loads(path.read_text()))


def _beside_whole(run: Run, planned: Plan, model: Any, artifact: Path) -> Measurement:
    """The measurement of a model that spends less on some texts; `measured_saving_share` is against the same model
    without that."""
    plain, folder = whole(model), artifact.with_name("whole")
    write(run, plain, folder, replace(planned, spec=plain.spec))
    found = measure(run.teacher, run.benchmark, {planned.name: artifact, WHOLE: folder})
    early = found[planned.name]
    saving = measured_saving(early.latency_ms, found[WHOLE].latency_ms)
    return replace(early, metrics={**early.metrics, "measured_saving_share": saving})


def untrained(run: Run) -> Run:
    """With the arithmetic alone of what is deployed: how fresh weights are rounded changes no latency."""
    asked = run.recipe.quantization
    return run if asked is None else run.with_recipe(replace(run.recipe, quantization=asked.untrained))


def _is_reference(run: Run, planned: Plan) -> bool:
    """Whether this is the teacher on eager fp32, which the bench times in every round anyway."""
    recipe, teacher = run.recipe, run.teacher
    same = planned.spec == teacher.manifest.spec and recipe.backend.name == teacher.manifest.backend
    own = planned.tokenizer is teacher.tokenizer
    return same and own and recipe.quantization is None and recipe.storage is None


def write(run: Run, model: nn.Module, folder: Path, planned: Plan) -> Manifest:
    """Write `model` as an artifact for the recipe's backend."""
    recipe, teacher = run.recipe, run.teacher
    manifest = replace(
        teacher.manifest, name=recipe_name(recipe, planned), backend=recipe.backend.name, spec=planned.spec,
        max_length=longest(planned.tokenizer, teacher.manifest.max_length), recipe=run.described,
        fingerprint=planned.fingerprint, files={},
        generation=None if recipe.generation is None else described(recipe.generation),
    )  # fmt: skip
    texts: list[Features] = []
    if recipe.quantization is not None and recipe.quantization.calibrates:
        train = teacher.encoded(teacher.inputs.dataset.train, planned.tokenizer)
        assert recipe.quantization.calibration is not None
        texts = sample(train, recipe.quantization.calibration.texts)
    written = write_artifact(
        folder, model, planned.tokenizer, recipe.backend, manifest, recipe.quantization, texts, recipe.storage,
        None if recipe.generation is None or not recipe.generation.smaller else Path(recipe.generation.smaller),
        teacher.inputs.task.carried(teacher.inputs.cache),
    )  # fmt: skip
    if not planned.spec.exits:
        return written
    assert recipe.early_exit is not None
    return settle(recipe.early_exit, teacher, folder, written, planned.tokenizer)


def recipe_name(recipe: Recipe, planned: Plan) -> str:
    """Architecture, bits and, where they are not the usual ones, storage and backend: `transformer 3x384 int8`."""
    return " ".join([planned.name, *recipe.deployed_words])


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
        kept += float(torch.stack(tokens_left(model, **inputs)).float().mean(dim=0).sum())
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
