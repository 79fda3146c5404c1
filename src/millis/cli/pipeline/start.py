"""Where a student starts: cut from its teacher, pruned to a latency, factorized; not yet trained."""

from collections.abc import Iterator
from typing import Any

import numpy as np
from omegaconf import DictConfig, open_dict

from millis import models
from millis.benchmark.latency import Measurement
from millis.cli.pipeline.blended import bags, taught, with_further
from millis.cli.pipeline.kept import keep, restore
from millis.cli.pipeline.measure import latency_of
from millis.cli.pipeline.plan import Plan, Recipe
from millis.cli.pipeline.teacher import Teacher, pad_id
from millis.data.batches import Batch, Rows
from millis.errors import MillisError
from millis.models import tokenizer as tokenizers
from millis.models.selection import Selection, selected_spec
from millis.models.tokenizer import AnyTokenizer
from millis.pruning import latency
from millis.pruning.latency import LatencyTable
from millis.pruning.to_latency import ToLatency
from millis.store import atomic_file, cached, fingerprint, locked
from millis.training.fit import seed_everything
from millis.types import Spec, Text

BATCH = 32  # texts whose gradients are taken together
_learned: dict[tuple[Any, str], AnyTokenizer] = {}  # of a student, from a data set's training texts


def shape(cfg: DictConfig, teacher: Teacher, recipe: Recipe) -> tuple[Spec, AnyTokenizer]:
    """Architecture and tokenizer that training starts from; weights are made only where they decide it."""
    spec, tokenizer = _reshaped_spec(cfg, teacher, recipe)
    for method in (recipe.early_exit, recipe.tokens):
        spec = spec if method is None else method.spec(spec)
    return spec, tokenizer


def student_spec(teacher: Teacher, student: Any) -> tuple[Spec, AnyTokenizer]:
    """Architecture and tokenizer of a student as its group describes it: the teacher's, or learned from the texts."""
    spec = student.spec(teacher.manifest.spec)
    if not student.fits:
        return spec, teacher.tokenizer
    key = (student, teacher.inputs.data_fingerprint)
    if key not in _learned:
        _learned[key] = student.tokenizer(teacher.inputs.dataset.train.texts)
    return {**spec, "vocab_size": _learned[key].get_vocab_size()}, _learned[key]


def _reshaped_spec(cfg: DictConfig, teacher: Teacher, recipe: Recipe) -> tuple[Spec, AnyTokenizer]:
    spec, tokenizer = student_spec(teacher, recipe.student)
    if not recipe.timed:  # what was timed is as the kept weights have it, whatever a clock says today
        if recipe.factorization is None:
            return spec, tokenizer
        texts = teacher.inputs.dataset.train.texts
        foretold, shorter = recipe.factorization.spec(spec, tokenizer, texts)
        if foretold is not None:
            return foretold, shorter
    model, tokenizer = _plain(cfg, teacher, recipe)
    return model.spec, tokenizer


def start(cfg: DictConfig, teacher: Teacher, recipe: Recipe) -> tuple[Any, AnyTokenizer]:
    """The student before training, and its tokenizer; what takes calibration or timing is made once and kept."""
    model, tokenizer = _plain(cfg, teacher, recipe)
    for method in (recipe.early_exit, recipe.tokens):
        if method is not None:
            seed_everything(cfg.seed)  # exits start from fresh weights
            model = method.attach(model)
    return model, tokenizer


def _plain(cfg: DictConfig, teacher: Teacher, recipe: Recipe) -> tuple[Any, AnyTokenizer]:
    if not recipe.reshapes:
        return cut(cfg, teacher, recipe), student_spec(teacher, recipe.student)[1]
    parts = [teacher.fingerprint, cfg.seed, recipe.parts(cfg)]
    path = teacher.inputs.cache / "start" / f"{fingerprint('start', *parts)}.safetensors"
    tokens = path.with_suffix(".tokenizer.json")
    with locked(path, "this student's start, which another process makes"):
        if not (path.is_file() and tokens.is_file()):
            model, tokenizer = _reshaped(cfg, teacher, recipe)
            with atomic_file(tokens) as temporary:
                temporary.write_text(tokenizer.to_str(), encoding="utf-8")
            keep(path, model)
    with cached(tokens):
        tokenizer = tokenizers.read(tokens.read_text(encoding="utf-8"))
    same = tokenizer.to_str() == teacher.tokenizer.to_str()  # then texts need not be encoded a second time
    return restore(path), teacher.tokenizer if same else tokenizer


def cut(cfg: DictConfig, teacher: Teacher, recipe: Recipe) -> Any:
    """The student as its teacher gives it, before anything else is done to it."""
    seed_everything(cfg.seed)
    spec, tokenizer = student_spec(teacher, recipe.student)
    model = models.build(spec)
    if recipe.student.fits:
        texts = with_further(cfg, teacher, unlabelled(teacher, recipe))
        rows = [bags(teacher, split, tokenizer) for split in (texts, teacher.inputs.dataset.validation)]
        answers = taught(cfg, teacher, texts).logits[0] if recipe.distillation.needs_logits else None
        recipe.student.fit(model, *rows, answers, float(recipe.distillation.alpha))
    else:
        recipe.student.initialise(model, teacher.module)
    return model


def unlabelled(teacher: Teacher, recipe: Recipe) -> list[Text]:
    """Further texts that a student learns from: none where it does not learn the teacher's answers."""
    learns = any(stage.distillation.needs_logits for stage in recipe.stages)
    return teacher.inputs.dataset.unlabelled if learns else []


def _reshaped(cfg: DictConfig, teacher: Teacher, recipe: Recipe) -> tuple[Any, AnyTokenizer]:
    model, tokenizer = cut(cfg, teacher, recipe).eval(), teacher.tokenizer
    if recipe.to_latency is not None:
        model = prune_to_latency(cfg, teacher, recipe.to_latency, model)
    if recipe.factorization is not None:
        texts = teacher.inputs.dataset.train.texts
        model, tokenizer = factorization(cfg, teacher, recipe, model.spec).apply(
            model, tokenizer, texts, lambda used: training_batches(cfg, teacher, used)
        )
    return model, tokenizer


def factorization(cfg: DictConfig, teacher: Teacher, recipe: Recipe, spec: Spec) -> Any:
    """The recipe's factorization of a model of `spec`, with what `cfg.backend` has to decide decided.

    Raises:
        MillisError: a speed-up that no rank reaches.
    """
    if not recipe.factorization.timed:
        return recipe.factorization
    quick = _unstored(cfg)
    whole = latency_of(quick, teacher, _probe(teacher, spec)).metrics["speedup"]
    return recipe.factorization.settled(
        spec, lambda smaller: latency_of(quick, teacher, _probe(teacher, smaller)).metrics["speedup"] / whole
    )


def training_batches(
    cfg: DictConfig, teacher: Teacher, tokenizer: AnyTokenizer, rows: list[int] | None = None
) -> Iterator[Batch]:
    """Labelled training texts under `tokenizer`: those at `rows`, or all, in a seeded order."""
    data = Rows(teacher.encoded(teacher.inputs.dataset.train, tokenizer), pad_id(tokenizer))
    order = np.random.default_rng(cfg.seed).permutation(len(data) if rows is None else rows).tolist()
    for begin in range(0, len(order), BATCH):
        yield data.__getitems__(order[begin : begin + BATCH])


def prune_to_latency(cfg: DictConfig, teacher: Teacher, pruning: ToLatency, model: Any) -> Any:
    """The smaller dense model whose measured speed-up over `model`, on `cfg.backend`, is the target's.

    Raises:
        MillisError: a student without heads and neurons, or a speed-up that no structure reaches.
    """
    if "shape" not in model.spec:
        raise MillisError(
            f"pruning=to_latency removes heads and neurons, and a {model.spec['family']} student of this architecture "
            "has none that millis knows. Choose student=transformer, or pruning=none"
        )
    rows = pruning.rows(len(teacher.inputs.dataset.train), cfg.seed)
    batches = list(training_batches(cfg, teacher, teacher.tokenizer, rows))
    importance = pruning.importance(model, batches)
    dense = latency_of(cfg, teacher, _probe(teacher, model.spec))
    table = latency_table(cfg, teacher, model.spec, dense, pruning.steps)
    target_ms = pruning.first_target_ms(dense.metrics["latency_p50_ms"])
    found: dict[float, Selection] = {}  # distance from the target → what to keep
    for _ in range(1 + pruning.refine):
        try:
            kept = pruning.choose(table, importance, target_ms)
        except MillisError:
            if not found:
                raise
            break  # the corrected target is out of reach: the nearest choice so far stays
        timed = latency_of(cfg, teacher, _probe(teacher, selected_spec(model.spec, kept)))
        speedup = timed.metrics["speedup"] / dense.metrics["speedup"]
        found.setdefault(abs(speedup / pruning.target_speedup - 1), kept)
        if pruning.reached(speedup):
            break
        target_ms = pruning.next_target_ms(target_ms, speedup)
    return pruning.apply(model, found[min(found)], batches)


def unshrunk_speedup(cfg: DictConfig, teacher: Teacher) -> float:
    """Over the teacher, of the student that is made smaller to a stated speed-up: what that speed-up is over."""
    spec, _ = student_spec(teacher, Recipe.of(cfg).student)
    return latency_of(cfg, teacher, _probe(teacher, spec)).metrics["speedup"]


def latency_table(cfg: DictConfig, teacher: Teacher, spec: Spec, dense: Measurement, steps: int) -> LatencyTable:
    """What heads and neurons cost on `cfg.backend`: 2 · (steps + 1) models are timed, once.

    Their speed-ups are what is read, not their milliseconds: the machine is another from minute to minute.
    """
    quick = _unstored(cfg)
    quick.benchmark.processes = 1  # the fit over all of them evens out one process's luck
    probes = latency.probe_specs(spec, latency.head_grid(spec, steps), latency.ffn_grid(spec, steps))
    speedups = {
        name: latency_of(quick, teacher, _probe(teacher, probe)).metrics["speedup"] for name, probe in probes.items()
    }
    scale = dense.metrics["latency_p50_ms"] * dense.metrics["speedup"]
    return LatencyTable.from_probes(spec, {name: scale / speedup for name, speedup in speedups.items()})


def _unstored(cfg: DictConfig) -> DictConfig:
    """`cfg` without an archive: packing one takes seconds, and no request notices."""
    cfg = cfg.copy()
    with open_dict(cfg):
        cfg.storage = {"_target_": "millis.storage.archived.none"}
    return cfg


def _probe(teacher: Teacher, spec: Spec) -> Plan:
    return Plan(spec, teacher.tokenizer, "probe", trains=False, settled=True, fingerprint="")
