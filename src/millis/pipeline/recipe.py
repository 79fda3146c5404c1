"""The recipe of a student: one choice for every stage, checked before anything is trained.

The order is fixed, for each step needs what the one before it leaves:

    student         cut from the teacher or from elastic weights: whole layers, heads and neurons are there to choose
    general         what is cut learns the pre-trained model's own states, once for all tasks
    pruning         to a latency, or single weights by SparseGPT: by what the teacher's own weights do
    factorization   matrices and tables of what is left; afterwards no head or neuron can be told apart
    early exit      classifiers between the layers that are left
    tokens          thresholds inside them; learned in the last stage that trains the whole model
    adapter         frozen weights with a few trainable ones beside them
    distillation    stage by stage, on the augmented texts; in the last one pruning grows sparsity on schedule
    merge, shrink   adapters into the weights, masks into a smaller dense model
    exits alone     where they are trained after a model that is then frozen
    quantization    aware training comes last: what is rounded must be what is deployed (2203.07259, section 4)

What cannot be combined is said by the methods themselves (`millis.traits`).
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields, replace
from typing import Any, Self

from millis import traits
from millis.described import TARGET, described
from millis.distillation import ensemble
from millis.distillation.contract import Stage
from millis.early_exit.recipe import EarlyExit
from millis.elastic.recipe import Elastic
from millis.errors import MillisError
from millis.generation.contract import Generation
from millis.models.outputs import writes
from millis.pruning.recipe import Pruning
from millis.pruning.sparsegpt import SparseGpt
from millis.pruning.to_latency import ToLatency
from millis.quantization.spec import Quantization, none
from millis.token_pruning.recipe import TokenPruning
from millis.training.fit import Fit
from millis.training.optim import AdamW
from millis.traits import has
from millis.types import Output

USUAL = "native"  # the runtime that names do not say
SETTINGS = ("optimizer", "trainer", "ensemble", "blend", "seed")  # fields that are no method
NOTHING = {TARGET: f"{none.__module__}.{none.__qualname__}"}
ANSWERING = ("student", "distillation", "factorization", "augmentation", "early_exit", "tokens", "backend")
"""Groups whose methods may refuse outputs (`check_outputs`)."""


def is_none(described: Any) -> bool:
    """Whether a group's description is of `none`."""
    return isinstance(described, Mapping) and str(described.get(TARGET, "")).endswith(f".{none.__name__}")


def family_of(source: Any, outputs: Sequence[Output]) -> str | None:
    """The family of the model that a source gives for a task; None where that is known only once it is there."""
    tell = getattr(source, "family", None)
    return None if tell is None else tell(outputs)


def check_cut(student: Any, family: str | None) -> None:
    """Refuse a student that is cut out of models of another family.

    Args:
        student: As in a recipe, or its class.
        family: Of the teacher, as `family_of` gives it.

    Raises:
        MillisError: as said.
    """
    cuts = getattr(student, "cuts", None)
    if None not in (cuts, family) and cuts != family:
        raise MillisError(
            f"the student is cut out of a model of the family {cuts}, and the teacher is of the family {family}: "
            f"choose student={family}, or student=teacher"
        )


@dataclass(frozen=True)
class Recipe:
    """How a student is made of its teacher and how it is deployed; None where a group does nothing.

    Args:
        student: What it is cut to, such as `millis.models.student.TransformerStudent`.
        distillation: What it learns from; a file of `millis.distillation`.
        optimizer, trainer: How long and how fast it learns.
        backend: What runs it.
        pruning: Before training, for a stated speed-up or of single weights, or growing while it trains.
        factorization, adapter, augmentation, early_exit, tokens: Methods of these packages.
        general: What the student learns before the task (`millis.training.general`).
        quantization: Its integers.
        generation: Of a model that writes, how it chooses tokens, a file of `millis.generation`.
        storage: How its files are packed.
        ensemble: Seeds of further teachers, whose answers are averaged with the teacher's.
        blend: Learn from the teacher and a linear model together, where validation says so; not with an ensemble.
        seed: Of all that is drawn.

    Raises:
        MillisError: methods that cannot be combined, with the reason; a student that is to train for no epoch.
    """

    student: Any
    distillation: Any
    optimizer: AdamW
    trainer: Fit
    backend: Any
    pruning: Any = None
    factorization: Any = None
    adapter: Any = None
    augmentation: Any = None
    general: Any = None
    early_exit: EarlyExit | None = None
    tokens: TokenPruning | None = None
    quantization: Quantization | None = None
    generation: Generation | None = None
    storage: Any = None
    ensemble: Sequence[int] = ()
    blend: bool = True
    seed: int = 0

    def __post_init__(self) -> None:
        object.__setattr__(self, "ensemble", tuple(self.ensemble))
        traits.check(self.methods)
        if (self.student.trains or self.elastic is not None) and not self.trainer.trains:
            raise MillisError(f"trainer.max_epochs={self.trainer.max_epochs}: expected at least 1")
        if self.elastic is not None and self.trainer.adversarial is not None:
            raise MillisError(
                f"trainer.adversarial={self.trainer.adversarial} moves the word vectors of the largest student alone. "
                "Choose trainer.adversarial=null, or student=transformer"
            )

    def check(self, outputs: Sequence[Output], teacher_seed: int) -> None:
        """Refuse methods that cannot answer as the task asks, and teachers that nobody hears.

        Args:
            outputs: Of the task.
            teacher_seed: Of the teacher that an ensemble adds to.

        Raises:
            MillisError: with the reason.
        """
        self._check_writing(outputs)
        for group in ANSWERING:
            if (refuse := getattr(self.methods[group], "check_outputs", None)) is not None:
                refuse(outputs)
        if self.ensemble:
            if self.student.fits:
                raise MillisError(
                    f"ensemble={list(self.ensemble)} teaches a student that trains, and student=ngrams is fitted to "
                    "the answers of one teacher. Choose ensemble=[]"
                )
            ensemble.check(self.ensemble, teacher_seed, self.distillation)

    def _check_writing(self, outputs: Sequence[Output]) -> None:
        if not writes(outputs):
            if self.generation is not None:
                raise MillisError("the task's answers are not written, so there is nothing to choose: generation=none")
            return
        if self.generation is None:
            raise MillisError("the task's models write, and generation=none: expected a way, such as generation=greedy")
        if not has(self.backend, traits.WRITES):
            raise MillisError(
                f"backend={self.backend.name} does not write token by token: choose native, onnxruntime or eager"
            )

    def alone(self, **methods: Any) -> Self:
        """This recipe with no method but `methods`: the references of every table."""
        student, backend = methods.pop("student"), methods.pop("backend")
        nothing: dict[str, Any] = {one.name: None for one in fields(self) if one.default is None}
        if self.generation is not None:
            nothing["generation"] = self.generation.alone
        return replace(self, student=student, backend=backend, ensemble=(), blend=False, **{**nothing, **methods})

    @property
    def methods(self) -> dict[str, Any]:
        """Group → what is chosen."""
        return {field.name: getattr(self, field.name) for field in fields(self) if field.name not in SETTINGS}

    @property
    def described(self) -> dict[str, Any]:
        """What it is made of, JSON-able, laid out as a config is: a group that does nothing has a target too."""
        chosen = {group: NOTHING if made is None else described(made) for group, made in self.methods.items()}
        return {**chosen, **{name: described(getattr(self, name)) for name in SETTINGS}}

    @property
    def to_latency(self) -> ToLatency | None:
        """Pruning before training, for a stated speed-up."""
        early = self.pruning is not None and self.pruning.before_training
        return self.pruning if early and not self.pruning.keeps_shape else None

    @property
    def sparse(self) -> SparseGpt | None:
        """Pruning of single weights before training."""
        early = self.pruning is not None and self.pruning.before_training
        return self.pruning if early and self.pruning.keeps_shape else None

    @property
    def growing(self) -> Pruning | None:
        """Pruning that grows during training."""
        return self.pruning if self.pruning is not None and not self.pruning.before_training else None

    @property
    def aware(self) -> bool:
        """Whether training rounds as the backend will."""
        return self.quantization is not None and self.quantization.aware is not None

    @property
    def elastic(self) -> Elastic | None:
        """The weights that the student is cut out of; None where that is the teacher."""
        return getattr(self.student, "elastic", None)

    @property
    def own_trainer(self) -> Fit:
        """How long the student trains by itself; weights that it is cut out of train as `trainer` says."""
        return self.trainer if self.elastic is None else self.trainer.with_epochs(self.student.tune_epochs)

    @property
    def reshapes(self) -> bool:
        """Whether the student is made smaller, or its weights fewer, once more before it is trained."""
        return self.to_latency is not None or self.sparse is not None or self.factorization is not None

    @property
    def timed(self) -> bool:
        """Whether models are timed to find out how small it is made."""
        return self.to_latency is not None or (self.factorization is not None and self.factorization.timed)

    @property
    def hears_teacher(self) -> bool:
        """Whether the student learns the teacher's answers."""
        return any(stage.distillation.needs_logits for stage in self.stages)

    @property
    def weights_decide(self) -> bool:
        """Whether latency depends on the weights: they say which layers stay in fp32, what is computed, or which
        guesses are right."""
        fallback = self.quantization is not None and self.quantization.fallback is not None
        guesses = self.generation is not None and self.generation.draft is not None
        return fallback or guesses or self.early_exit is not None or self.tokens is not None

    @property
    def stages(self) -> list[Stage]:
        """What is trained one after the other."""
        stages = list(self.distillation.stages())
        return stages if self.early_exit is None else list(self.early_exit.training.stages(stages))

    @property
    def words(self) -> list[str]:
        """What the recipe's name tells beyond the architecture."""
        words = [] if self.factorization is None else [self.factorization.describe()]
        if self.to_latency is not None:
            words.append(f"pruned {self.to_latency.target_speedup:g}x")
        if self.sparse is not None:
            words.append(f"pruned {self.sparse.sparsity:.0%} sparsegpt")
        if self.growing is not None:
            words.append(f"pruned {self.growing.sparsity:.0%}")
        if self.augmentation is not None:
            words.append("augmented")
        if self.general is not None:
            words.append("general")
        if self.early_exit is not None:
            words.append(f"exits {self.early_exit.policy.replace('_', ' ')}")
        if self.tokens is not None:
            words.append(self.tokens.describe())
        return words

    @property
    def deployed_words(self) -> list[str]:
        """What its name ends with: bits and, where they are not the usual ones, storage, backend and cache."""
        bits = getattr(self.backend, "precision", "fp32") if self.quantization is None else self.quantization.describe()
        words = [] if self.storage is None else [self.storage.describe()]
        device = getattr(self.backend, "device", "cpu")
        if self.backend.name != USUAL or device != "cpu":
            words.append(self.backend.name)
        if device != "cpu":
            words.append(device)
        if (cache := getattr(self.backend, "cache", "fp32")) != "fp32":
            words.append(f"cache {cache}")
        return [bits, *words]
