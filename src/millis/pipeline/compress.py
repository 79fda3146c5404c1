"""One recipe, start to end: latency first, then training, then the artifact, then its quality as deployed."""

import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar, cast

from millis.backends.artifact import check_draft
from millis.backends.eager import Eager
from millis.benchmark.agent.request import check_taken
from millis.benchmark.latency import HERE, Measurement, Options
from millis.budget import latency_probability, limits_of, required
from millis.distillation.objective import Distillation
from millis.errors import MillisError, nearest
from millis.models.ngram_student import LinearBaseline
from millis.models.outputs import is_one_text
from millis.models.student import Teacher as Untouched
from millis.pipeline.bundle import bundled
from millis.pipeline.fine_tuning import FineTuning
from millis.pipeline.general import check_general
from millis.pipeline.measure import judged_latency, recipe_name
from millis.pipeline.recipe import Recipe
from millis.pipeline.records import Made, ensure_record
from millis.pipeline.run import Run
from millis.pipeline.rungs import Bracket
from millis.pipeline.runtime import usual, with_runtime
from millis.pipeline.student import ensure_student, plan, settled, tracked_model
from millis.pipeline.teacher import tracked_model as tracked_teacher
from millis.pipeline.tracker import trial
from millis.quantization.spec import Quantization
from millis.record import Record
from millis.training.rungs import Stopped

MEASURED = ("latency_p50_ms", "latency_p99_ms", "size_bytes")  # limits that are known before training
TRAINED = "trained_share"  # of the epochs that were planned, where a rung ended training


@dataclass(frozen=True)
class Skipped:
    """A recipe that was measured and not trained.

    Args:
        name: Of the recipe.
        measurement: Latency, size and memory of its architecture.
        excess: Limit → how far over it, as a share of it: 0.2 is 20 % over.
        probability: That the limits of latency are kept all the same, 0..1.
    """

    name: str
    measurement: Measurement
    excess: dict[str, float]
    probability: float
    record: ClassVar[None] = None
    seconds: ClassVar[float] = 0.0

    @property
    def metrics(self) -> dict[str, float]:
        """What was measured."""
        return self.measurement.metrics


@dataclass(frozen=True)
class Ended:
    """A recipe whose training was ended at a rung of its search, and can be continued.

    Args:
        name: Of the recipe.
        measurement: Latency, size and memory of its architecture.
        excess: Limit → how far over it, as a share of it; those that are known before training.
        probability: That the limits of latency are kept, 0..1.
        stopped: Where, why and how good it was.
    """

    name: str
    measurement: Measurement
    excess: dict[str, float]
    probability: float
    stopped: Stopped
    record: ClassVar[None] = None

    @property
    def seconds(self) -> float:
        """Training time."""
        return self.stopped.seconds

    @property
    def metrics(self) -> dict[str, float]:
        """What was measured."""
        return {**self.measurement.metrics, TRAINED: self.stopped.share}


@dataclass(frozen=True)
class Compressed:
    """A recipe carried out.

    Args:
        seconds: Training time, spent now or earlier.
        excess: Limit → how far over it, as a share of it; negative is room left.
        probability: That the limits of latency are kept, 0..1.
    """

    record: Record
    seconds: float
    excess: dict[str, float]
    probability: float

    @property
    def metrics(self) -> dict[str, float]:
        """What was measured and judged."""
        return self.record.metrics


def compress(run: Run) -> Compressed | Skipped:
    """Teacher → student → artifact → record, or only the measurement where it breaks a limit of the budget."""
    return cast(Compressed | Skipped, compete(run, None))  # no rung ends anything where there is none


def compete(run: Run, bracket: Bracket | None) -> Compressed | Skipped | Ended:
    """As `compress`, of a recipe of a search.

    Args:
        bracket: Whose rungs may end the training; None where there are none.
    """
    teacher = run.teacher
    with trial(run.place.tracker, run.described) as current:
        outcome, key = _carried_out(run, bracket)
        name = f"{outcome.name if outcome.record is None else outcome.record.name}-{key[:6]}"
        start = tracked_teacher(teacher.folder, teacher.fingerprint)
        current.end(name, _numbers(outcome), start, tracked_model(teacher.inputs.cache, key))
    return outcome


def _numbers(outcome: Compressed | Skipped | Ended) -> dict[str, Any]:
    """What a recipe's run shows of its outcome."""
    over = {f"over_budget/{limit}": excess for limit, excess in outcome.excess.items()}
    trained = outcome.record is not None or TRAINED in outcome.metrics
    return {**outcome.metrics, **over, **({"training_s": outcome.seconds} if trained else {}), "skipped": not trained}


def _carried_out(run: Run, bracket: Bracket | None) -> tuple[Compressed | Skipped | Ended, str]:
    """What came of the recipe, and the fingerprint of its weights."""
    run, choice = with_runtime(run)
    planned = plan(run)
    if run.recipe.generation is not None and run.recipe.generation.smaller:  # before anything is trained for it
        check_draft(Path(run.recipe.generation.smaller), planned.tokenizer)
    planned = settled(run, planned)
    early = ensure_student(run, planned)[0] if run.recipe.weights_decide else None
    measured = judged_latency(run, planned, early)
    budget = limits_of(run.budget)
    limits = [limit for limit in MEASURED if limit in budget]
    # What an archive takes depends on the weights in it.
    known = [limit for limit in limits if not (run.recipe.storage is not None and limit == "size_bytes")]
    excess = {limit: measured.metrics[limit] / budget[limit] - 1 for limit in known}
    probability = latency_probability(measured, run.budget)
    if any(over > 0 for over in excess.values()):
        return Skipped(recipe_name(run.recipe, planned), measured, excess, probability), planned.fingerprint
    entrant = None if bracket is None else bracket.entrant(run, planned, measured)
    try:
        if entrant is not None:
            entrant.begin()
        model, fitted = ensure_student(run, planned, entrant)
    except Stopped as stopped:
        name = recipe_name(run.recipe, planned)
        print(f"  {name}  {stopped.reason}", file=sys.stderr, flush=True)
        return Ended(name, measured, excess, probability, stopped), planned.fingerprint
    if entrant is not None:
        entrant.end(fitted)
    if run.recipe.elastic is not None:
        bundled(run)
    record = ensure_record(run, planned, Made(model, fitted), "student", choice)
    excess |= {limit: record.metrics[limit] / budget[limit] - 1 for limit in limits if limit not in known}
    if (allowed := budget.get("quality_drop")) is not None:
        steering = f"validation_{record.quality}"
        drop = record.reading.loss(record.metrics[steering], teacher_record(run).metrics[steering])
        excess["quality_drop"] = (drop - allowed) / max(allowed, 1.0)
    return Compressed(record, fitted.seconds, excess, probability), planned.fingerprint


def check_request(recipe: Recipe, tuning: FineTuning, benchmark: Options, budget: Mapping[str, float | None]) -> None:
    """Refuse what cannot be measured, before anything is trained.

    Raises:
        MillisError: a backend whose artifacts no agent takes, a limit that there is not, a probability that is none,
            more tokens to write than leave room for a text, or general distillation of a model that knows nothing.
    """
    check_general(tuning.model, recipe.general)
    if recipe.generation is not None and tuning.task.judged_as_written:
        most, whole = recipe.generation.max_tokens, tuning.task.max_length
        if most >= whole:
            raise MillisError(
                f"generation.max_tokens={most} with task.max_length={whole} leaves no token for the text that is "
                "answered, for both are written into so many. Lower generation.max_tokens, or raise task.max_length"
            )
    limits = (*MEASURED, "quality_drop", "probability")
    if unknown := [name for name in budget if name not in limits]:
        near = nearest(unknown[0], limits)
        raise MillisError(f"budget has {unknown[0]!r}{near}: expected one of {', '.join(limits)}")
    if benchmark.where != HERE:
        check_taken("the student", recipe.backend.name, None)
        if recipe.generation is not None and recipe.generation.smaller:
            raise MillisError(
                "generation.draft has a model of its own, and an agent takes artifacts of one model. Set "
                f"benchmark.where={HERE}, or generation/draft@generation.draft=lookup"
            )
    required(budget)


def teacher_record(run: Run) -> Record:
    """The teacher on eager fp32: the reference of every speed-up."""
    run = run.with_recipe(run.recipe.alone(student=Untouched(), backend=Eager()))
    return ensure_record(run, plan(run), Made(run.teacher.module, run.teacher.fitted), "teacher")


def baseline_record(run: Run) -> Record:
    """The teacher in dynamic int8 on the usual runtime: what a user gets with no training at all."""
    recipe = run.recipe.alone(student=Untouched(), backend=usual(), quantization=Quantization())
    run, _ = with_runtime(run.with_recipe(recipe))
    return ensure_record(run, plan(run), Made(run.teacher.module, run.teacher.fitted), "baseline")


def linear_record(run: Run) -> Record:
    """A linear model of words and runs of characters on the usual runtime: what a user has without any of this."""
    alone = Distillation(alpha=0.0)  # it learns from labels
    run, _ = with_runtime(
        run.with_recipe(run.recipe.alone(student=LinearBaseline(), backend=usual(), distillation=alone))
    )
    planned = plan(run)
    return ensure_record(run, planned, Made(*ensure_student(run, planned)), "linear")


def reference_records(run: Run) -> list[Record]:
    """What every table begins with: the teacher, it in int8 and, where labels are answered, the linear model."""
    made = [teacher_record(run), baseline_record(run)]
    return [*made, linear_record(run)] if is_one_text(run.teacher.inputs.task.outputs) else made
