"""The recipe of a student, composed from config groups, and what is known of it before anything is trained.

The order is fixed, for each step needs what the one before it leaves:

    student         cut from the teacher: whole layers, heads and neurons are there to choose from
    pruning         to a latency: importance is read off the teacher's own weights
    factorization   matrices and tables of what is left; afterwards no head or neuron can be told apart
    early exit      classifiers between the layers that are left
    tokens          thresholds inside them; learned in the last stage that trains the whole model
    adapter         frozen weights with a few trainable ones beside them
    distillation    stage by stage, on the augmented texts; in the last one pruning grows sparsity on schedule
    merge, shrink   adapters into the weights, masks into a smaller dense model
    exits alone     where they are trained after a model that is then frozen
    quantization    aware training comes last: what is rounded must be what is deployed (2203.07259, section 4)
"""

from collections import Counter
from dataclasses import dataclass
from typing import Any

from omegaconf import DictConfig

from millis.cli.pipeline.inputs import plain
from millis.cli.targets import instantiate
from millis.distillation.contract import Stage
from millis.distillation.logits import logit_mse
from millis.early_exit.recipe import DEPLOYED, EarlyExit
from millis.errors import MillisError
from millis.models.tokenizer import AnyTokenizer
from millis.pruning.granularity.head import Head
from millis.pruning.granularity.layer import Layer
from millis.pruning.granularity.together import HeadsAndNeurons
from millis.pruning.recipe import Pruning
from millis.pruning.to_latency import ToLatency
from millis.quantization.processor import reduces_range
from millis.quantization.spec import Quantization
from millis.tokens.recipe import TokenPruning
from millis.types import Spec

METHODS = (
    "factorization",
    "pruning",
    "adapter",
    "augmentation",
    "early_exit",
    "tokens",
)  # groups whose `none` leaves a student as it was
UNDECIDED = "auto"  # backend=auto; its candidates are asked one by one
QUANTIZING_SHARE = 0.3  # of the last stage's epochs, where pruning needs some of its own before it


@dataclass(frozen=True)
class Plan:
    """What a recipe asks for, before anything is trained.

    Args:
        spec: The architecture, all that latency depends on beside the backend.
        tokenizer: The teacher's, or one for a smaller vocabulary.
        name: Short human name of the architecture.
        trains: False where the weights are the teacher's own, or made from them without training.
        settled: False where training decides what is left of the architecture.
        fingerprint: Of everything that determines the weights.
    """

    spec: Spec
    tokenizer: AnyTokenizer
    name: str
    trains: bool
    settled: bool
    fingerprint: str


@dataclass(frozen=True)
class Recipe:
    """The groups of a config as objects; None where a group is `none`.

    Args:
        to_latency: Pruning before training, for a stated speed-up.
        pruning: Pruning that grows during training.
    """

    student: Any
    to_latency: ToLatency | None
    factorization: Any
    adapter: Any
    augmentation: Any
    early_exit: EarlyExit | None
    tokens: TokenPruning | None
    distillation: Any
    pruning: Pruning | None
    quantization: Quantization | None
    backend: Any

    @classmethod
    def of(cls, cfg: DictConfig) -> "Recipe":
        """The recipe that `cfg` describes.

        Raises:
            MillisError: methods that cannot be combined, with the reason.
        """
        pruning = instantiate(cfg.pruning)
        recipe = cls(
            student=instantiate(cfg.student),
            to_latency=pruning if isinstance(pruning, ToLatency) else None,
            factorization=instantiate(cfg.factorization),
            adapter=instantiate(cfg.adapter),
            augmentation=instantiate(cfg.augmentation),
            early_exit=instantiate(cfg.early_exit),
            tokens=instantiate(cfg.tokens),
            distillation=instantiate(cfg.distillation),
            pruning=pruning if isinstance(pruning, Pruning) else None,
            quantization=instantiate(cfg.quantization),
            backend=instantiate(cfg.backend),
        )
        recipe.check()
        outputs = instantiate(cfg.task).outputs
        for method in (recipe.student, recipe.early_exit, recipe.tokens):
            if (check := getattr(method, "check_outputs", None)) is not None:
                check(outputs)
        if cfg.ensemble:
            if recipe.student.fits:
                raise MillisError(
                    f"ensemble={list(cfg.ensemble)} teaches a student that trains, and student=ngrams is fitted to the "
                    "answers of one teacher. Choose ensemble=[]"
                )
            _check_ensemble(list(cfg.ensemble), cfg.teacher.seed, recipe.distillation)
        return recipe

    @property
    def aware(self) -> bool:
        """Whether training rounds as the backend will."""
        return self.quantization is not None and self.quantization.aware is not None

    @property
    def reshapes(self) -> bool:
        """Whether the student is made smaller once more before it is trained."""
        return self.to_latency is not None or self.factorization is not None

    @property
    def timed(self) -> bool:
        """Whether models are timed to find out how small it is made."""
        return self.to_latency is not None or (self.factorization is not None and self.factorization.timed)

    @property
    def words(self) -> list[str]:
        """What the recipe's name tells beyond the architecture."""
        words = [] if self.factorization is None else [self.factorization.describe()]
        if self.to_latency is not None:
            words.append(f"pruned {self.to_latency.target_speedup:g}x")
        if self.pruning is not None:
            words.append(f"pruned {self.pruning.sparsity:.0%}")
        if self.augmentation is not None:
            words.append("augmented")
        if self.early_exit is not None:
            words.append(f"exits {self.early_exit.policy.replace('_', ' ')}")
        if self.tokens is not None:
            words.append(self.tokens.describe())
        return words

    @property
    def stages(self) -> list[Stage]:
        """What is trained one after the other."""
        stages = list(self.distillation.stages())
        return stages if self.early_exit is None else list(self.early_exit.training.stages(stages))

    def parts(self, cfg: DictConfig) -> list[Any]:
        """What a trained student's weights depend on, for its fingerprint.

        Groups that are `none` are left out, so that a method which arrives does not orphan what lies trained.
        """
        training = () if self.student.fits else (cfg.optimizer, cfg.trainer)
        parts = [plain(node) for node in (cfg.student, cfg.distillation, *training)]
        chosen = {name: plain(cfg[name]) for name in METHODS if instantiate(cfg[name]) is not None}
        if self.early_exit is not None:  # another policy or threshold needs no other weights
            chosen["early_exit"] = {name: v for name, v in chosen["early_exit"].items() if name not in DEPLOYED}
        if self.quantization is not None and self.aware:
            chosen["quantization"] = plain(cfg.quantization)
            if reduces_range(self.quantization):  # as this processor asks
                chosen["quantization"]["reduce_range"] = True
        if self.timed:  # the latencies that it goes by are of a backend
            chosen["timed"] = [plain(node) for node in (cfg.backend, cfg.quantization, cfg.benchmark)]
        if cfg.ensemble:
            chosen["ensemble"] = plain(cfg.ensemble)
        return [*parts, chosen] if chosen else parts

    def check(self) -> None:
        """Refuse combinations that contradict the order above.

        Raises:
            MillisError: with the reason and what to do.
        """
        untrained = [
            name
            for name, chosen in (
                ("pruning", self.pruning),
                ("adapter", self.adapter),
                ("augmentation", self.augmentation),
                ("early_exit", self.early_exit),
                ("tokens", self.tokens),
                ("quantization.aware", self.aware or None),
            )
            if chosen is not None
        ]
        if self.student.fits:
            self._check_fitted(untrained)
        if not self.student.trains and untrained:
            raise MillisError(
                f"{untrained[0]} happens while a student trains, and student=teacher is not trained: its weights are "
                "converted as they are. Choose student=transformer student.layers=null for a trained copy of the "
                f"teacher, or {untrained[0].split('.')[0]}={'dynamic' if 'aware' in untrained[0] else 'none'}"
            )
        if self.adapter is not None and (self.pruning is not None or self.aware):
            other = "pruning" if self.pruning is not None else "quantization.aware"
            raise MillisError(
                f"adapter and {other} in one training contradict each other: an adapter freezes the weights that "
                f"{other} must change. Choose adapter=none, or compress a teacher that was fine-tuned with "
                "teacher.adapter"
            )
        if (
            self.factorization is not None
            and self.factorization.mixes
            and self.pruning is not None
            and self.pruning.structural
        ):
            raise MillisError(
                "factorization comes before training, and pruning whole heads, neurons, channels or layers after it "
                "finds no matrices to cut: their rows and columns are mixed. Choose pruning=to_latency, which comes "
                "before factorization, or a granularity of single weights"
            )
        if self.early_exit is not None:
            self._check_exits()
        if self.tokens is not None:
            self._check_tokens()
        if self.aware and self.backend.name not in ("onnxruntime", UNDECIDED):
            raise MillisError(
                f"quantization-aware training imitates ONNX Runtime's integers, and backend={self.backend.name} "
                "computes others. Choose backend=onnxruntime, or quantization=dynamic"
            )

    def _check_fitted(self, training: list[str]) -> None:
        """Refuse what a student without a training has no place for, and what would change nothing in it."""
        if training:
            raise MillisError(
                f"{training[0]} happens while a student trains, and student=ngrams is fitted at once. Choose another "
                f"student, or {training[0].split('.')[0]}={'dynamic' if 'aware' in training[0] else 'none'}"
            )
        if self.reshapes:
            name = "pruning" if self.to_latency is not None else "factorization"
            raise MillisError(
                f"{name} makes a student smaller before it trains, and student=ngrams is one table with a row an "
                f"n-gram. Choose student.least or student.bits for fewer rows, and {name}=none"
            )
        if callable(self.distillation.alpha):
            raise MillisError(
                "student=ngrams is fitted at once, and distillation.alpha is a schedule. Choose a number for "
                "distillation.alpha"
            )
        if any(getattr(stage.distillation, "terms", None) for stage in self.distillation.stages()):
            raise MillisError(
                "this distillation compares hidden states or attention, and student=ngrams has none: it is fitted to "
                "labels and the teacher's logits. Choose distillation=logits or none"
            )

    def _check_exits(self) -> None:
        """Refuse what early exits cannot be combined with."""
        if self.backend.name != UNDECIDED and not hasattr(self.backend, "write_segments"):
            raise MillisError(
                f"early_exit stops between segments of a model, and backend={self.backend.name} runs it as a whole. "
                "Choose backend=onnxruntime, openvino or eager, or early_exit=none"
            )
        if callable(getattr(self.distillation, "alpha", 0)):
            raise MillisError(
                "early_exit teaches every exit by fixed shares of labels and teacher, and distillation.alpha is a "
                "schedule. Choose a number for distillation.alpha, or early_exit=none"
            )
        if self.adapter is not None:
            raise MillisError(
                "early_exit trains classifiers beside the model, and an adapter freezes all but the last. Choose "
                "adapter=none, or compress a teacher that was fine-tuned with teacher.adapter"
            )
        if self.pruning is not None and isinstance(self.pruning.granularity, Layer):
            raise MillisError(
                "early_exit puts exits after layers, and pruning whole layers while they train would take the layers "
                "away under them. Choose fewer layers from the start (student.layers) or another granularity"
            )

    def _check_tokens(self) -> None:
        """Refuse what token pruning cannot be combined with."""
        if not getattr(self.backend, "follows_data", True):
            raise MillisError(
                f"tokens makes sequences shorter by what is in them, and backend={self.backend.name} has no sizes "
                "that depend on values. Choose backend=onnxruntime, openvino or eager, or tokens=none"
            )
        if self.early_exit is not None:
            raise MillisError(
                "tokens and early_exit in one model: an exit would answer from tokens that the next layers drop, which "
                "nobody has measured. Choose tokens=none or early_exit=none"
            )
        if self.adapter is not None:
            raise MillisError(
                "tokens learns thresholds beside the model, and an adapter freezes all but its own. Choose "
                "adapter=none, or compress a teacher that was fine-tuned with teacher.adapter"
            )
        if self.pruning is not None and isinstance(self.pruning.granularity, Layer | Head | HeadsAndNeurons):
            raise MillisError(
                "tokens reads off a layer's heads which tokens matter, and pruning that takes layers or all of a "
                "layer's heads away while they train leaves nothing to read. Choose fewer layers or heads from the "
                "start (student.layers, student.heads, pruning=to_latency) or another granularity"
            )
        if any(getattr(stage.distillation, "terms", None) for stage in self.distillation.stages()):
            raise MillisError(
                "tokens drops tokens inside the layers, and this distillation compares hidden states or attention of "
                "all of them. Choose distillation=logits, reverse_kl or jensen_shannon, or tokens=none"
            )


def _check_ensemble(seeds: list[int], own: int, distillation: Any) -> None:
    """Refuse further teachers that nobody hears, or that would be heard wrongly."""
    if not any(stage.distillation.needs_logits for stage in distillation.stages()):
        raise MillisError(
            f"ensemble={seeds} averages what teachers answer, and this distillation hears no answers. "
            "Choose distillation.alpha above 0, or ensemble=[]"
        )
    if getattr(distillation, "logit_loss", "") == logit_mse.__name__:
        raise MillisError(
            f"ensemble={seeds} averages what teachers answer, whose logits have no level of their own, and "
            "distillation.logit_loss=logit_mse fits the level too. Choose softened_kl, reverse_kl or jensen_shannon, "
            "or ensemble=[]"
        )
    if twice := [seed for seed, count in Counter([own, *seeds]).items() if count > 1]:
        raise MillisError(
            f"ensemble={seeds} beside teacher.seed={own} hears the teacher of seed {twice[0]} twice: expected seeds "
            "that differ"
        )
    if not distillation.cache:
        raise MillisError(
            f"ensemble={seeds} with distillation.cache=false would hear one teacher only: an ensemble needs cached "
            "answers. Choose distillation.cache=true, or ensemble=[]"
        )
