"""The loop as functions of objects: train a teacher, compress it, search, measure.

    import millis
    from millis.models.static import StaticStudent
    from millis.quantization.spec import Quantization

    teacher = millis.train("my/folder")
    record = millis.compress(teacher, quantization=Quantization())
    outcome = millis.search(teacher, [{"student": StaticStudent(size=size)} for size in (0.25, 0.5)])

What is not given is as the commands have it (`conf/`), also what an object brings along: a small student has an
optimizer and a trainer of its own. `millis.api` has the same commands as functions of overrides.
"""

import os
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, fields, replace
from pathlib import Path
from typing import Any

from millis.applications.contract import Plan
from millis.benchmark.latency import Options
from millis.cli.build import built_of
from millis.cli.hydra_app import settled
from millis.cli.recipes import beside, bundled_run, default, methods_of, training_of
from millis.cli.targets import instantiate
from millis.data.local import Local
from millis.data.memory import Memory
from millis.errors import MillisError, nearest
from millis.models.load import Pretrained
from millis.models.memory import held
from millis.models.sizes import Size
from millis.pipeline import compress as one
from millis.pipeline import pick as picking
from millis.pipeline.analysis import Analysis
from millis.pipeline.application import Built
from millis.pipeline.artifacts import measured_records, named, reference_of
from millis.pipeline.compress import Compressed, Skipped
from millis.pipeline.fine_tuning import FineTuning
from millis.pipeline.inputs import read_inputs
from millis.pipeline.pick import FINALISTS, Picked
from millis.pipeline.place import Place
from millis.pipeline.recipe import Recipe
from millis.pipeline.run import Run
from millis.pipeline.study import Outcome, Study, conclude
from millis.pipeline.teacher import Teacher, ensure_teacher
from millis.quantization.spec import Quantization
from millis.record import Record
from millis.store import fingerprint
from millis.tasks.contract import Task

INT8 = Quantization()
QUALITY_AND_LATENCY = {"quality": "maximize", "latency_p50_ms": "minimize"}


@dataclass(frozen=True)
class Trained:
    """A teacher that was fine-tuned, to be compressed.

    Args:
        tuning: How it was asked for.
        place: Where it and all that is made of it lie.
        benchmark: How latency is measured.
    """

    teacher: Teacher = field(repr=False)
    tuning: FineTuning = field(repr=False)
    place: Place
    benchmark: Options = field(default_factory=Options)

    @property
    def record(self) -> Record:
        """The teacher measured on eager fp32, the reference of every speed-up; measured once."""
        return one.teacher_record(self._run({}))

    @property
    def references(self) -> list[Record]:
        """What every table begins with: the teacher, it in int8 and, where labels are answered, a linear model."""
        return one.reference_records(self._run({}))

    def _run(self, methods: Mapping[str, Any], budget: Mapping[str, float | None] | None = None) -> Run:
        """A recipe of it to be carried out; what `methods` leave out is as the commands have it.

        Raises:
            MillisError: an unknown field of a recipe, or methods that do not fit each other or the task.
        """
        known = [one.name for one in fields(Recipe)]
        for name in methods:
            if name not in known:
                raise MillisError(f"a recipe has no {name!r}{nearest(name, known)}: expected {', '.join(known)}")
        recipe = Recipe(**{**methods_of(beside(methods)), **methods})
        recipe.check(self.teacher.inputs.task.outputs, self.tuning.seed)
        one.check_request(recipe, self.tuning, self.benchmark, budget or {})
        return Run(recipe, self.tuning, self.teacher, self.place, self.benchmark, budget or {})


def train(
    data: Any,
    *,
    task: Task | None = None,
    model: Any = None,
    tokenizer: Any = None,
    seed: int = 0,
    outputs: str | Path | None = None,
    benchmark: Options | None = None,
    **training: Any,
) -> Trained:
    """Fine-tune a teacher, or find it done.

    Args:
        data: A folder (`millis.data.local`); splits in memory (`millis.data.memory`), such as `{"train": (texts,
            labels)}` or a `datasets.DatasetDict`; or a source.
        task: Of `millis.tasks`; None is classification.
        model: A name on the Hub or a folder; a model of `transformers`, or a module that holds one; a source; None is
            all-MiniLM-L6-v2.
        tokenizer: Of a model in memory.
        seed: Of fresh weights and of the order of rows.
        outputs: Folder of all that is made; None is `MILLIS_OUTPUTS`, or `outputs`.
        benchmark: How latency is measured.
        training: `optimizer`, `trainer`, `objective`, `adapter` and `search` (`millis.pipeline.fine_tuning`).

    Raises:
        MillisError: data, a model or settings that cannot be.
    """
    place = _place(outputs)
    source = _model(model, tokenizer, place)
    defaults = training_of(beside({} if source is None else {"model": source}))
    chosen = source if source is not None else default("model")
    tuning = FineTuning(
        **{**defaults, **training, "seed": seed}, data=_data(data), task=task or default("task"), model=chosen
    )
    return Trained(ensure_teacher(tuning, place), tuning, place, benchmark or Options())


def compress(teacher: Trained, *, budget: Mapping[str, float | None] | None = None, **methods: Any) -> Record | Skipped:
    """Carry out one recipe.

    Args:
        teacher: Of `train`.
        budget: Limit → value, such as `{"latency_p50_ms": 2}` (`millis.budget`): a student over it is not trained.
        methods: Fields of `millis.pipeline.recipe.Recipe`: `student=StaticStudent(size=0.5)`.

    Returns:
        The student's record, its artifact at `record.artifact`; or what was measured of one over the budget.

    Raises:
        MillisError: methods that cannot be combined.
    """
    outcome = one.compress(teacher._run(methods, budget))
    return outcome.record if isinstance(outcome, Compressed) else outcome


def pick(
    weights: str | Path,
    budget: Mapping[str, float | None],
    *,
    data: Any = None,
    sizes: Mapping[str, Size] | None = None,
    finalists: int = FINALISTS,
    quantization: Quantization | None = INT8,
    backend: Any = None,
    outputs: str | Path | None = None,
    benchmark: Options | None = None,
) -> Picked:
    """The best student of elastic weights that keeps a budget: cut out, measured and exported; nothing is trained.

    Args:
        weights: The folder that `compress` with an `ElasticStudent` left under `outputs/elastic`.
        budget: As for `compress`, with a limit of latency: `{"latency_p99_ms": 1.5}`.
        data: What they were trained on, as for `train`; None finds it where it was.
        sizes: Of `layers`, `hidden_size`, `heads` and `ffn_size`, those that are asked for.
        finalists: How many students are made and measured at a time.
        quantization: Of the student; None leaves it in fp32.
        backend: What runs it; None is millis' own where it can.
        outputs: Folder of all that is made; None is `MILLIS_OUTPUTS`, or `outputs`.
        benchmark: How and where latency is measured.

    Raises:
        MillisError: no student that keeps the budget, or as `millis.pipeline.pick.pick` and `bundled_run`.
    """
    run = bundled_run(
        Path(weights), _place(outputs), None if data is None else _data(data),
        backend=backend or default("backend"), quantization=quantization, benchmark=benchmark or Options(),
        budget=dict(budget),
    )  # fmt: skip
    return picking.pick(run, sizes, finalists)


def search(
    teacher: Trained,
    recipes: Iterable[Mapping[str, Any]],
    *,
    name: str | None = None,
    directions: Mapping[str, str] = QUALITY_AND_LATENCY,
    budget: Mapping[str, float | None] | None = None,
) -> Outcome:
    """Carry out recipes, measure the best side by side, and draw the frontier.

    Recipes that were carried out before cost nothing. For one that draws recipes, see `millis.api.sweep`.

    Args:
        teacher: Of `train`.
        recipes: Each the `methods` of `compress`.
        name: Of the study, a folder below `outputs/sweep`; None is made of data and recipes.
        directions: Metric → `maximize` or `minimize`; `quality` is the task's metric.
        budget: As for `compress`; `outcome.choice` is what it picks.

    Raises:
        MillisError: no recipe, or methods that cannot be combined.
    """
    runs = [replace(teacher._run(methods, budget), objectives=tuple(directions)) for methods in recipes]
    if not runs:
        raise MillisError("a search needs recipes: expected at least one, such as {'student': StaticStudent()}")
    made = fingerprint([run.described for run in runs], dict(directions))[:6]
    study = Study(name or f"{teacher.teacher.inputs.dataset.name}-{made}", directions)
    study.check(teacher.tuning.task.metric, teacher.teacher.inputs.metric.better)
    outcomes = [one.compress(run) for run in runs]
    records = [outcome.record for outcome in outcomes if isinstance(outcome, Compressed)]
    trials = {"trained": len(records), "skipped": len(outcomes) - len(records)}
    return conclude(runs[0], study, [*one.reference_records(runs[0]), *records], [], trials)


def measure(
    artifacts: Sequence[str | Path],
    data: Any,
    *,
    task: Task | None = None,
    reference: str | None = None,
    options: Options | None = None,
    asked: Analysis | None = None,
    trust_code: bool = False,
) -> list[Record]:
    """Measure artifacts side by side on this machine.

    Args:
        artifacts: Folders.
        data, task: As for `train`; texts of its test split are answered.
        reference: Name of the artifact that speed-ups are over; None is the first.
        options: How latency is measured.
        asked: What else is wanted: the machine's limit, profiles, curves.
        trust_code: Whether to load artifacts of machine code, which runs it.

    Raises:
        MillisError: no artifacts, or one that answers something else than the data asks.
    """
    if not artifacts:
        raise MillisError("got no artifacts to measure: expected folders, such as [record.artifact]")
    found = named([Path(folder) for folder in artifacts])
    place = _place()
    inputs = read_inputs(_data(data), task or default("task"), place.cache)
    return measured_records(
        found, inputs, options or Options(), asked or Analysis(), reference_of(found, reference), trust_code=trust_code
    )


def _place(outputs: str | Path | None = None) -> Place:
    return Place.under(outputs or os.environ.get("MILLIS_OUTPUTS", "outputs"))


def build(
    app: str | Plan,
    data: str | Path | None = None,
    *,
    outputs: str | Path | None = None,
    every_part: Sequence[str] = (),
    benchmark: Options | None = None,
) -> Built:
    """Build an application: train and compress its parts, judge and time it before and after compression.

    Args:
        app: An option of `conf/app`, such as `customer_service`; or a plan (`millis.applications.contract.Plan`).
        data: A folder of one's own (`docs/applications.md`); None is the corpus that ships with it.
        outputs: As for `train`.
        every_part: Overrides of `millis compress` for all parts.
        benchmark: How both chains are timed; None is as `millis build` has it.

    Returns:
        Both chains with their numbers; `millis.load(built.folder)` answers.

    Raises:
        MillisError: data or parts that cannot be, before anything is trained.
    """
    cfg = settled("build", [*([f"app={app}"] if isinstance(app, str) else []), "logger=none"])
    cfg.data.path = None if data is None else str(data)
    cfg.every_part = list(every_part)
    if outputs is not None:
        cfg.paths.outputs = str(outputs)
    plan = instantiate(cfg.app) if isinstance(app, str) else app
    return built_of(plan, cfg, benchmark)


def _data(data: Any) -> Any:
    if isinstance(data, str | Path):
        return Local(str(data))
    return Memory(data) if isinstance(data, Mapping) else data


def _model(model: Any, tokenizer: Any, place: Place) -> Any:
    """The source of a teacher's model; None where none was given."""
    if tokenizer is not None:
        return held(model, tokenizer, place.cache / "model")
    if isinstance(model, str | Path):
        return Pretrained(str(model))
    if model is not None and hasattr(model, "forward"):
        raise MillisError(
            f"model is {type(model).__name__}, in memory, without its tokenizer: give tokenizer=..., such as "
            "AutoTokenizer.from_pretrained(...)"
        )
    return model
