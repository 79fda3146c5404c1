"""Where a student starts: cut from its teacher, pruned to a latency, factorized; not yet trained."""

from dataclasses import replace
from functools import partial
from typing import Any

from millis import models
from millis.benchmark.latency import Measurement
from millis.errors import MillisError
from millis.models import tokenizer as tokenizers
from millis.models.selection import Selection, selected_spec
from millis.models.spec import Spec
from millis.models.tokenizer import AnyTokenizer
from millis.models.transformer_spec import TransformerSpec
from millis.pipeline import keys
from millis.pipeline.elastic import elastic_key, ensure_elastic
from millis.pipeline.general import ensure_general, general_key
from millis.pipeline.lesson import training_batches
from millis.pipeline.measure import latency_of
from millis.pipeline.models_on_disk import keep, restore
from millis.pipeline.plan import Plan
from millis.pipeline.run import Run
from millis.pipeline.taught_answers import bags, taught, unlabelled, with_further
from millis.pipeline.teacher import Teacher
from millis.pruning import latency
from millis.pruning.latency import LatencyTable
from millis.pruning.sparsegpt import SparseGpt
from millis.pruning.to_latency import ToLatency
from millis.quantization.calibration import by_length, sample
from millis.quantization.replay import Replay, readers
from millis.store import atomic_file, cached, locked
from millis.training.fit import seed_everything

_learned: dict[tuple[Any, str], AnyTokenizer] = {}  # of a student, from a data set's training texts


def shape(run: Run) -> tuple[Spec, AnyTokenizer]:
    """Architecture and tokenizer that training starts from; weights are made only where they decide it."""
    spec, tokenizer = _reshaped_spec(run)
    for method in (run.recipe.early_exit, run.recipe.tokens):
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
    return replace(spec, vocab_size=_learned[key].get_vocab_size()), _learned[key]


def _reshaped_spec(run: Run) -> tuple[Spec, AnyTokenizer]:
    recipe, teacher = run.recipe, run.teacher
    spec, tokenizer = student_spec(teacher, recipe.student)
    if not recipe.timed:  # what was timed is as the kept weights have it, whatever a clock says today
        if recipe.factorization is None:
            return spec, tokenizer
        texts = teacher.inputs.dataset.train.texts
        foretold, shorter = recipe.factorization.spec(spec, tokenizer, texts)
        if foretold is not None:
            return foretold, shorter
    model, tokenizer = _plain(run)
    return model.spec, tokenizer


def initial_student(run: Run) -> tuple[Any, AnyTokenizer]:
    """The student before training, and its tokenizer; what takes calibration or timing is made once and kept."""
    model, tokenizer = _plain(run)
    for method in (run.recipe.early_exit, run.recipe.tokens):
        if method is not None:
            seed_everything(run.recipe.seed)  # exits start from fresh weights
            model = method.attach(model)
    return model, tokenizer


def _plain(run: Run) -> tuple[Any, AnyTokenizer]:
    teacher = run.teacher
    if not run.recipe.reshapes:
        return cut(run), student_spec(teacher, run.recipe.student)[1]
    key = keys.initial(_source_key(run), run.recipe, run.benchmark)
    path = teacher.inputs.cache / "start" / f"{key}.safetensors"
    tokens = path.with_suffix(".tokenizer.json")
    with locked(path, "this student's start, which another process makes"):
        if not (path.is_file() and tokens.is_file()):
            model, tokenizer = _reshaped(run)
            with atomic_file(tokens) as temporary:
                temporary.write_text(tokenizer.to_str(), encoding="utf-8")
            keep(path, model)
    with cached(tokens):
        tokenizer = tokenizers.read(tokens.read_text(encoding="utf-8"))
    same = tokenizer.to_str() == teacher.tokenizer.to_str()  # then texts need not be encoded a second time
    return restore(path), teacher.tokenizer if same else tokenizer


def _source_key(run: Run) -> str:
    """The fingerprint of the weights that the student is cut out of, and of what these have learned since."""
    if run.recipe.elastic is not None:
        return elastic_key(run)
    source = run.teacher.fingerprint
    if run.recipe.general is None:
        return source
    return f"{source} {general_key(run, student_spec(run.teacher, run.recipe.student)[0])}"


def cut(run: Run) -> Any:
    """The student as its teacher or elastic weights give it, before anything else is done to it."""
    recipe, teacher = run.recipe, run.teacher
    seed_everything(recipe.seed)
    spec, tokenizer = student_spec(teacher, recipe.student)
    model = models.build(spec)
    if recipe.student.fits:
        texts = with_further(recipe, teacher, unlabelled(recipe, teacher))
        rows = [bags(teacher, split, tokenizer) for split in (texts, teacher.inputs.dataset.validation)]
        answers = taught(recipe, teacher, texts).logits[0] if recipe.distillation.needs_logits else None
        recipe.student.fit(model, *rows, answers, float(recipe.distillation.alpha))
    else:
        recipe.student.initialise(model, teacher.module if recipe.elastic is None else ensure_elastic(run))
        if recipe.general is not None:  # the head stays the teacher's
            learned = ensure_general(run, spec).encoder.state_dict()
            model.get_submodule("encoder").load_state_dict(learned)
    return model


def _reshaped(run: Run) -> tuple[Any, AnyTokenizer]:
    model, tokenizer = cut(run).eval(), run.teacher.tokenizer
    if run.recipe.to_latency is not None:
        model = prune_to_latency(run, run.recipe.to_latency, model)
    if run.recipe.sparse is not None:
        sparsify(run, run.recipe.sparse, model)
    if run.recipe.factorization is not None:
        texts = run.teacher.inputs.dataset.train.texts
        model, tokenizer = factorization(run, model.spec).apply(
            model, tokenizer, texts, lambda used: training_batches(run, used)
        )
    return model, tokenizer


def factorization(run: Run, spec: Spec) -> Any:
    """The recipe's factorization of a model of `spec`, with what the backend has to decide decided.

    Raises:
        MillisError: a speed-up that no rank reaches.
    """
    chosen = run.recipe.factorization
    if not chosen.timed:
        return chosen
    quick = _unstored(run)
    whole = _speedup(quick, spec)
    return chosen.settled(spec, lambda smaller: _speedup(quick, smaller) / whole)


def prune_to_latency(run: Run, pruning: ToLatency, model: Any) -> Any:
    """The smaller dense model whose measured speed-up over `model`, on the recipe's backend, is the target's.

    Raises:
        MillisError: a student without heads and neurons, or a speed-up that no structure reaches.
    """
    sizes = model.spec.shape
    if sizes is None:
        raise MillisError(
            f"pruning=to_latency removes heads and neurons, and a {model.spec.family} student of this architecture "
            "has none that millis knows. Choose student=transformer, or pruning=none"
        )
    teacher = run.teacher
    rows = pruning.rows(len(teacher.inputs.dataset.train), run.recipe.seed)
    batches = list(training_batches(run, teacher.tokenizer, rows))
    importance = pruning.importance(model, batches)
    dense = latency_of(run, _probe(teacher, model.spec))
    table = latency_table(run, model.spec, dense, pruning.steps)
    target_ms = pruning.first_target_ms(table.latency_ms(sizes.heads, sizes.ffn))
    found: dict[float, Selection] = {}  # distance from the target → what to keep
    for _ in range(1 + pruning.refine):
        try:
            kept = pruning.choose(table, importance, target_ms)
        except MillisError:
            if not found:
                raise
            break  # the corrected target is out of reach: the nearest choice so far stays
        speedup = _speedup(run, selected_spec(model.spec, kept)) / dense.metrics["speedup"]
        found.setdefault(abs(speedup / pruning.target_speedup - 1), kept)
        if pruning.reached(speedup):
            break
        target_ms = pruning.next_target_ms(target_ms, speedup)
    return pruning.apply(model, found[min(found)], batches)


def sparsify(run: Run, pruning: SparseGpt, model: Any) -> None:
    """Take single weights of `model` away, by what its layers read on training texts.

    Raises:
        MillisError: as `SparseGpt.layers` and `SparseGpt.apply`.
    """
    teacher, layers = run.teacher, pruning.layers(model)
    texts, groups = sample(teacher.encoded(teacher.inputs.dataset.train), pruning.samples), readers(model, layers)
    replay = Replay(model, by_length(texts), groups)
    pruning.apply([(group.layers, partial(replay.products, group)) for group in groups])


def unshrunk_speedup(run: Run) -> float:
    """Over the teacher, of the student that is made smaller to a stated speed-up: what that speed-up is over."""
    return _speedup(run, student_spec(run.teacher, run.recipe.student)[0])


def latency_table(run: Run, spec: TransformerSpec, dense: Measurement, steps: int) -> LatencyTable:
    """What heads and neurons cost on the recipe's backend: 2 · (steps + 1) models are timed, once.

    Their speed-ups are what is read, not their milliseconds: the machine is another from minute to minute.
    """
    quick = _unstored(run)
    # One process each: the fit over all of them evens out one process's luck.
    quick = replace(quick, benchmark=replace(quick.benchmark, processes=1))
    probes = latency.probe_specs(spec, latency.head_grid(spec, steps), latency.ffn_grid(spec, steps))
    scale = dense.metrics["latency_p50_ms"] * dense.metrics["speedup"]
    return LatencyTable.from_probes(spec, {name: scale / _speedup(quick, probe) for name, probe in probes.items()})


def _speedup(run: Run, spec: Spec) -> float:
    """Of an architecture over the teacher."""
    return latency_of(run, _probe(run.teacher, spec)).metrics["speedup"]


def _unstored(run: Run) -> Run:
    """`run` without an archive: packing one takes seconds, and no request notices."""
    return run.with_recipe(replace(run.recipe, storage=None))


def _probe(teacher: Teacher, spec: Spec) -> Plan:
    return Plan.probe(spec, teacher.tokenizer)
