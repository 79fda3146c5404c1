"""Fingerprints: under which name each stage keeps its output, and what that depends on. All of them are here.

A stage's key holds the keys of the stages before it and, described by the objects themselves (`millis.described`), its
own settings. A group that is None is left out, so that a method which arrives does not orphan what lies trained; and so
is what changes nothing, such as an exit's policy where weights are named.

    pretrained      model, pre-training, texts
    teacher         model, fine-tuning, pre-training, task, data, and texts without labels where it reads them
    answers         teacher, texts
    blend, linear   teacher; and texts
    elastic         teacher, sizes, how they are trained, blend, further texts
    general         pre-trained model, architecture, how it is distilled, texts
    initial         teacher, elastic weights or general student; recipe
    student         teacher, recipe, blend, further texts, and the general student that it begins with
    latency         architecture, tokenizer, what is deployed, benchmark and machine; and weights, where they decide
    course          student, what is deployed
    setting_table   teacher's architecture, sizes, what is deployed, benchmark and machine
    runtime         teacher, what is deployed, benchmark and machine
    record          student, what is deployed, task, latency, how the runtime was chosen, what was noted of the data
    together        records, benchmark and machine
    application     plan, data, artifacts of its parts
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from millis import __version__
from millis.benchmark.latency import NOT_HOW, Measurement, Options
from millis.benchmark.where import site
from millis.described import described
from millis.early_exit.recipe import DEPLOYED
from millis.models.spec import Spec
from millis.models.tokenizer import longest
from millis.pipeline.fine_tuning import FineTuning
from millis.pipeline.inputs import Inputs
from millis.pipeline.recipe import Recipe
from millis.quantization.processor import reduces_range
from millis.record import Record
from millis.storage.manifest import FILE_NAME as MANIFEST
from millis.store import checksums, file_sha256, files_fingerprint, fingerprint
from millis.types import Text

APART = ("student", "distillation", "general", "backend", "quantization", "generation", "storage")
"""Methods on which weights depend in another way, or not at all."""
ENCODING = ("encoder", "shape", "ranks")
"""What of an architecture's description is its encoder's."""
RUNTIME = ("student", "early_exit", "tokens")
"""Those on which a choice of runtime depends, beside what is deployed."""


def pretrained(tuning: FineTuning, inputs: Inputs, texts: Sequence[Text], length: int) -> str:
    """Of an encoder that has read texts alone; no label and no rate of the fine-tuning is in it.

    Args:
        texts: That it reads.
        length: Most tokens of one.
    """
    model, trainer = described(tuning.model), described(tuning.trainer)
    del trainer["max_epochs"]
    how = described(tuning.pretraining), trainer, tuning.seed, length
    return fingerprint("pretrained", checksums(model), __version__, model, how, list(texts), inputs.dataset.pairs)


def teacher(tuning: FineTuning, inputs: Inputs) -> str:
    """Of a teacher's weights."""
    task = (inputs.task.name, inputs.task.metric, inputs.task.max_length, [list(one) for one in inputs.task.outputs])
    training = {name: part for name, part in tuning.training.items() if name != "search" and part is not None}
    model = described(tuning.model)
    other = described(tuning.task).get("encoder")  # that targets are made with
    targets = [] if other is None else [other, checksums(other)]
    read = [] if tuning.pretraining is None else [list(inputs.dataset.unlabelled)]
    return fingerprint("teacher", checksums(model), __version__, model, training, task, *_data(inputs), *targets, *read)


def _data(inputs: Inputs) -> list[str]:
    """What is read, and how: the same rows may be asked about in another way."""
    return [inputs.data_fingerprint, repr(inputs.task.references)]


def answers(of_teacher: str, texts: Sequence[Text]) -> str:
    """Of what a teacher says of texts."""
    return fingerprint(of_teacher, list(texts))


def written(of_teacher: str, texts: Sequence[Text], most: int) -> str:
    """Of what a teacher writes for texts, in `most` tokens."""
    return fingerprint("written", of_teacher, list(texts), most)


def blend(of_teacher: str) -> str:
    """Of how a teacher and a linear model are averaged."""
    return fingerprint("blend", __version__, of_teacher)


def linear(of_teacher: str, texts: Sequence[Text]) -> str:
    """Of what the linear model beside a teacher says of texts."""
    return fingerprint(blend(of_teacher), list(texts))


def elastic(of_teacher: str, recipe: Recipe, blend_weight: float, further: Sequence[Text]) -> str:
    """Of elastic weights; which students are cut out of them, and what becomes of these, is not in it.

    Args:
        blend_weight, further: As for `student`.
    """
    parts = [recipe.elastic, recipe.distillation, recipe.optimizer, recipe.trainer, recipe.augmentation]
    more = _heard(recipe, blend_weight, further)
    return fingerprint("elastic", of_teacher, recipe.seed, [described(part) for part in parts], recipe.ensemble, *more)


def general(model: Any, recipe: Recipe, spec: Spec, of_texts: str, length: int) -> str:
    """Of an encoder that has learned a pre-trained model's states; no task is in it.

    Args:
        model: The pre-trained model's source.
        spec: The student's architecture, whose outputs do not matter.
        of_texts: The fingerprint of what it learns on.
        length: Most tokens of one.
    """
    said, how = described(model), described(recipe.general)
    shape = {name: part for name, part in spec.to_json().items() if name in ENCODING}
    del how["texts"]
    trained = [described(recipe.student), described(recipe.general.fit(recipe.trainer)), recipe.seed, length]
    return fingerprint("general", __version__, checksums(said), said, how, shape, trained, of_texts)


def initial(of_source: str, recipe: Recipe, benchmark: Options) -> str:
    """Of a student before training.

    Args:
        of_source: Of the weights that it is cut out of: the teacher's, or elastic ones.
    """
    return fingerprint("start", of_source, recipe.seed, weights(recipe, benchmark))


def student(
    of_teacher: str,
    recipe: Recipe,
    benchmark: Options,
    blend_weight: float,
    further: Sequence[Text],
    of_general: str | None = None,
) -> str:
    """Of a trained student's weights.

    Args:
        blend_weight: Of the linear model in what it learns from.
        further: Texts without labels that it learns from.
        of_general: Of the general student that it begins with; None where it begins with the teacher's parts.
    """
    more = [*_heard(recipe, blend_weight, further), *([] if of_general is None else [of_general])]
    return fingerprint("student", of_teacher, weights(recipe, benchmark), recipe.seed, *more)


def _heard(recipe: Recipe, blend_weight: float, further: Sequence[Text]) -> list[Any]:
    """What is learned from beside the teacher's answers to the training texts; nothing where there is nothing."""
    answered = bool(further) or recipe.augmentation is not None
    most = [recipe.generation.max_tokens] if recipe.generation is not None and answered else []
    return [*([blend_weight] if blend_weight else []), *([list(further)] if further else []), *most]


def weights(recipe: Recipe, benchmark: Options) -> list[Any]:
    """What a student's weights depend on, of a recipe."""
    training = () if recipe.student.fits else (recipe.optimizer, recipe.trainer)
    parts = [described(part) for part in (recipe.student, recipe.distillation, *training)]
    methods = {name: made for name, made in recipe.methods.items() if name not in APART and made is not None}
    chosen = {name: described(made) for name, made in methods.items()}
    if recipe.early_exit is not None:  # another policy or threshold needs no other weights
        chosen["early_exit"] = {name: v for name, v in chosen["early_exit"].items() if name not in DEPLOYED}
    if recipe.quantization is not None and recipe.aware:
        chosen["quantization"] = described(recipe.quantization)
        chosen["imitated"] = recipe.backend.name
        if reduces_range(recipe.quantization):  # as this processor asks
            chosen["quantization"]["reduce_range"] = True
    if recipe.timed:  # the latencies that it goes by are of a backend
        chosen["timed"] = [described(part) for part in (recipe.backend, recipe.quantization, benchmark)]
    if recipe.ensemble:
        chosen["ensemble"] = list(recipe.ensemble)
    return [*parts, chosen] if chosen else parts


def deployed(recipe: Recipe) -> list[Any]:
    """How weights become an artifact."""
    more = [made for made in (recipe.generation, recipe.storage) if made is not None]
    parts = [recipe.backend, recipe.quantization, *more]
    smaller = "" if recipe.generation is None else recipe.generation.smaller
    return [*(described(part) for part in parts), *([file_sha256(Path(smaller) / MANIFEST)] if smaller else [])]


def benchmark(options: Options) -> str:
    """Of how latency is measured and of the machine that measures; not of its address or of how long to wait."""
    how = {name: value for name, value in described(options).items() if name not in NOT_HOW}
    return fingerprint(how, site(options))


def latency(run: Any, planned: Any, trained: bool) -> str:
    """Of an architecture's latency.

    Args:
        run: A `millis.pipeline.run.Run`.
        planned: A `millis.pipeline.plan.Plan`.
        trained: Whether the weights decide it.
    """
    recipe, manifest = run.recipe, run.teacher.manifest
    same: dict[str, Any] = {
        "tokenizer": planned.tokenizer.to_str(),
        "max_length": longest(planned.tokenizer, manifest.max_length),
        "reference": manifest.spec.to_json(),
    }
    if trained:
        same["weights"] = planned.fingerprint
        if recipe.early_exit is not None:
            same["early_exit"] = described(recipe.early_exit)
    how, data = [*deployed(recipe), benchmark(run.benchmark)], _data(run.teacher.inputs)
    return fingerprint("latency", __version__, planned.spec.to_json(), how, same, *data)


def course(of_student: str, recipe: Recipe) -> str:
    """Of how far a recipe came in a search."""
    return fingerprint("course", of_student, deployed(recipe))


def setting_table(run: Any, axes: dict[str, Any]) -> str:
    """Of the latencies of elastic weights' settings; `axes` are their sizes, JSON-able."""
    teacher = run.teacher
    same = [teacher.manifest.spec.to_json(), teacher.tokenizer.to_str(), teacher.manifest.max_length, axes]
    how = [*deployed(run.recipe), benchmark(run.benchmark)]
    return fingerprint("setting_table", __version__, same, how, *_data(teacher.inputs))


def runtime(of_teacher: str, recipe: Recipe, options: Options) -> str:
    """Of the choice that `backend=auto` makes."""
    parts = [*deployed(recipe), *(described(recipe.methods[name]) for name in RUNTIME)]
    return fingerprint("runtime", __version__, [*parts, benchmark(options)], of_teacher, recipe.seed)


def record(run: Any, planned: Any, kind: str, measured: Measurement, choice: Any) -> str:
    """Of a record.

    Args:
        run, planned: As for `latency`.
        kind: Of the record.
        choice: How the runtime was chosen (`millis.pipeline.runtime.Choice`), or None.
    """
    recipe = run.recipe
    parts = [*deployed(recipe), described(run.tuning.task)]
    if recipe.early_exit is not None:
        parts.append(described(recipe.early_exit))
    found = [] if choice is None else [[(one.name, one.speedup, bool(one.refused)) for one in choice.candidates]]
    said = run.teacher.inputs.dataset.notes  # other files may hold the same rows, read otherwise
    return fingerprint("record", __version__, kind, planned.fingerprint, parts, measured.latency_ms, *found, list(said))


def together(records: Sequence[Record], options: Options) -> str:
    """Of records that were measured side by side."""
    names = sorted((one.id, one.name) for one in records)
    return fingerprint("together", __version__, names, benchmark(options))


def application(plan: Any, corpus: Path, artifacts: Mapping[str, Mapping[str, Path]]) -> str:
    """Of what is built of an application.

    Args:
        plan: How (`millis.applications.contract.Plan`).
        corpus: Its data.
        artifacts: Of each chain, those of its parts; a manifest has the checksums of its files.
    """
    sums = {
        chain: {part: file_sha256(folder / MANIFEST) for part, folder in parts.items()}
        for chain, parts in artifacts.items()
    }
    return fingerprint("application", described(plan), files_fingerprint(corpus), sums)
