"""How exits are trained: the stages of a distillation, with exits added.

Every class here turns the stages of a distillation into stages that train exits as well; what the last exit learns from
(labels, the teacher's logits) is the distillation's business, and each exit learns from the same, or from the last one.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from millis.data.encode import Encoded
from millis.distillation.contract import Method, Pair, Stage
from millis.distillation.weight import Weight
from millis.distillation.weighted_terms import Objective, Term
from millis.early_exit.loss import EveryOther, ExitLoss, FromLast, depth_weights
from millis.errors import MillisError

ExitTerms = Mapping[str, tuple[Weight, Term]]


class Training(Protocol):
    """The `training` of a file in `conf/early_exit/`."""

    def stages(self, stages: Sequence[Stage]) -> Sequence[Stage]:
        """`stages` of a distillation, with exits trained."""
        ...


@dataclass(frozen=True)
class Joint:
    """All exits in one training: Σ over exits of (l + 1) / L · loss of the exit after layer l; the last exit's weighs 1
    (PABEE, 2006.04152). A distillation's feature terms act beside them.

    Epochs are selected by the last exit's quality.
    """

    def stages(self, stages: Sequence[Stage]) -> Sequence[Stage]:
        """The last stage, which is the one that trains answers, trains those of all exits."""
        *before, last = stages
        return [*before, last._replace(distillation=_WithExits(last.distillation, self._term))]

    def _term(self, loss: ExitLoss, weight: float) -> tuple[Weight, Term]:
        return weight, loss


@dataclass(frozen=True)
class Alternating:
    """By turns, a batch each: the last exit alone, then all exits with equal weight (BERxiT, Xin et al. 2021).

    The last exit keeps half of all steps to itself, where joint training makes it share each with the others.
    """

    def stages(self, stages: Sequence[Stage]) -> Sequence[Stage]:
        """As for `Joint`."""
        *before, last = stages
        return [*before, last._replace(distillation=_WithExits(last.distillation, self._term))]

    def _term(self, loss: ExitLoss, _: float) -> tuple[Weight, Term]:
        return 1.0, EveryOther(loss)


@dataclass(frozen=True)
class TwoStage:
    """First the model without exits, then the exits alone, all else frozen (DeeBERT, 2004.12993): the last exit answers
    exactly as without exits.

    Args:
        share: Of the epochs that exits get: a few linear layers learn quickly.
    """

    share: float = 0.3

    def __post_init__(self) -> None:
        check_share(self.share)

    def stages(self, stages: Sequence[Stage]) -> Sequence[Stage]:
        """The distillation's stages, then one for the exits."""
        last: Any = stages[-1].distillation
        return _then_exits(stages, self.share, _ExitsAlone(last, self._terms, last.needs_logits))

    def _terms(self, method: Any, rows: Encoded, layers: Sequence[int]) -> ExitTerms:
        """Each exit learns what the last one did, with equal weight."""
        answers = method.answer_terms(rows)
        return {f"exit_{layer}": (1.0, ExitLoss(layer, answers)) for layer in layers}


@dataclass(frozen=True)
class SelfDistillation:
    """First the model without exits, then the exits alone, from what the last one says (FastBERT, 2004.02178). Neither
    labels nor a teacher are read then, so texts without labels would serve.

    Args:
        share: Of the epochs that exits get.
        temperature: T; FastBERT's is 1.
    """

    share: float = 0.3
    temperature: float = 1.0

    def __post_init__(self) -> None:
        check_share(self.share)
        if not self.temperature > 0:
            raise MillisError(f"early_exit.training.temperature={self.temperature}: expected above 0")

    def stages(self, stages: Sequence[Stage]) -> Sequence[Stage]:
        """The distillation's stages, then one for the exits."""
        return _then_exits(stages, self.share, _ExitsAlone(stages[-1].distillation, self._terms, needs_logits=False))

    def _terms(self, method: Any, rows: Encoded, layers: Sequence[int]) -> ExitTerms:
        """Each exit's divergence from the last one, with equal weight."""
        return {f"exit_{layer}": (1.0, FromLast(layer, self.temperature)) for layer in layers}


def check_share(share: float) -> None:
    """Refuse a share that leaves a stage without epochs.

    Raises:
        MillisError: not between 0 and 1.
    """
    if not 0 < share < 1:
        raise MillisError(
            f"early_exit.training.share={share}: expected the share of the epochs that the exits get, between 0 and 1, "
            "both excluded; 0.3 is usual"
        )


def _then_exits(stages: Sequence[Stage], share: float, method: Method) -> list[Stage]:
    before = [stage._replace(share=stage.share * (1 - share)) for stage in stages]
    return [*before, Stage("exits", share, method, trains="exits.")]


class _Wrapped:
    """A distillation that minimises something else; what it needs of the teacher is told by the attributes."""

    def __init__(self, method: Any, needs_logits: bool) -> None:
        self.method, self.needs_logits = method, needs_logits
        self.cache: bool = method.cache
        self.cache_limit_bytes: float = method.cache_limit_bytes

    def stages(self) -> Sequence[Stage]:
        """Itself alone."""
        return (Stage("exits", 1.0, self),)

    def objective(self, rows: Encoded, pair: Pair | None = None) -> Objective:
        """The terms that have weight."""
        raise NotImplementedError


class _WithExits(_Wrapped):
    """What `method` minimises, and each exit's loss as `weighed` makes a term of it, given its weight by depth."""

    def __init__(self, method: Any, weighed: Callable[[ExitLoss, float], tuple[Weight, Term]]) -> None:
        super().__init__(method, method.needs_logits)
        self.weighed = weighed

    def objective(self, rows: Encoded, pair: Pair | None = None) -> Objective:
        """The method's terms, then one an exit."""
        assert pair is not None, "exits are those of a student"
        layers, answers = pair.student.spec.exits, self.method.answer_terms(rows)
        weights = depth_weights(layers, pair.student.spec.layers)
        exits = {
            f"exit_{layer}": self.weighed(ExitLoss(layer, answers), weight)
            for layer, weight in zip(layers, weights, strict=True)
        }
        return Objective({**self.method.objective(rows, pair).terms, **exits})


class _ExitsAlone(_Wrapped):
    """Nothing but the exits' losses, `terms(method, rows, layers)`. The last exit stays as it is, so epochs are
    selected by the exits' own loss."""

    def __init__(self, method: Any, terms: Callable[..., ExitTerms], needs_logits: bool) -> None:
        super().__init__(method, needs_logits)
        self.terms = terms

    def objective(self, rows: Encoded, pair: Pair | None = None) -> Objective:
        """One term an exit."""
        assert pair is not None, "exits are those of a student"
        return Objective(self.terms(self.method, rows, pair.student.spec.exits), answers=False)
