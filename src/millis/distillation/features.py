"""Distillation that also looks inside: labels, logits, and any number of feature terms."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from millis.data.encode import Encoded
from millis.distillation.contract import FeatureTerm, Pair, Stage
from millis.distillation.logit_distillation import LogitDistillation
from millis.distillation.weight import Weight, is_zero
from millis.distillation.weighted_terms import Objective, Term
from millis.errors import MillisError
from millis.traits import FEATURES, Traits

CACHE_BUDGET_MB = 2000.0  # 180,000 tokens (CLINC150's training rows) at 14 features of 384 channels, 2 bytes each


@dataclass(frozen=True)
class FeatureDistillation(LogitDistillation):
    """(1 - α) · cross-entropy + α · logit loss + Σ weight · feature term, all in one training.

    Args:
        terms: Feature terms by the name under which they are logged; those of weight 0 are left out.
        cache_budget_mb: Most that the teacher's features may take on disk, in MB (10⁶ bytes). Where they need more,
            or with `cache: false`, the teacher runs in every step.
    """

    terms: Mapping[str, FeatureTerm] = field(default_factory=dict)
    cache_budget_mb: float = CACHE_BUDGET_MB

    def __post_init__(self) -> None:
        super().__post_init__()
        check_terms(self.terms)
        check_budget(self.cache_budget_mb)

    @property
    def traits(self) -> Traits:
        """It reads features."""
        return (*super().traits, FEATURES)

    @property
    def cache_limit_bytes(self) -> float:
        """The budget."""
        return 1e6 * self.cache_budget_mb

    def objective(self, rows: Encoded, pair: Pair | None = None) -> Objective:
        """All terms that have weight.

        Raises:
            MillisError: the two models do not fit a term.
        """
        return Objective({**self.answer_terms(rows), **feature_terms(self.terms, pair)})


@dataclass(frozen=True)
class FeaturesOnly:
    """Σ weight · feature term, and nothing that looks at logits or labels: the first of two stages.

    Args:
        terms, cache, cache_budget_mb: As for `FeatureDistillation`.
    """

    terms: Mapping[str, FeatureTerm]
    cache: bool = True
    cache_budget_mb: float = CACHE_BUDGET_MB

    def __post_init__(self) -> None:
        check_terms(self.terms)
        check_budget(self.cache_budget_mb)

    @property
    def needs_logits(self) -> bool:
        """Features alone."""
        return False

    @property
    def cache_limit_bytes(self) -> float:
        """The budget."""
        return 1e6 * self.cache_budget_mb

    def stages(self) -> Sequence[Stage]:
        """Itself alone."""
        return (Stage("features", 1.0, self),)

    def objective(self, rows: Encoded, pair: Pair | None = None) -> Objective:
        """The terms that have weight.

        Raises:
            MillisError: the two models do not fit a term.
        """
        return Objective(feature_terms(self.terms, pair), answers=False)


def feature_terms(terms: Mapping[str, FeatureTerm], pair: Pair | None) -> dict[str, tuple[Weight, Term]]:
    """The terms that have weight, bound to the two models.

    Raises:
        MillisError: the models or their tokens do not fit.
    """
    assert pair is not None, "feature terms are bound to a student and its teacher"
    bound: dict[str, tuple[Weight, Term]] = {
        name: (term.weight, term.bind(pair)) for name, term in terms.items() if not is_zero(term.weight)
    }
    pair.check_positions()
    return bound


def check_terms(terms: Any) -> None:
    """Refuse terms that cannot be: none with weight, names that a log cannot hold, nodes that no class was made of.

    Raises:
        MillisError: as said.
    """
    for name, term in terms.items():
        if not str(name).isidentifier() or not hasattr(term, "bind"):
            raise MillisError(
                f"distillation.terms.{name}={term!r} is no feature term: expected a plain name and a _target_ such as "
                "millis.distillation.hidden.Hidden, under `_convert_: all` beside the distillation's own _target_"
            )
    if all(is_zero(term.weight) for term in terms.values()):
        raise MillisError(
            f"distillation.terms: {'every weight is 0' if terms else 'there are none'}, so nothing would be learned "
            "from features. Give one a weight above 0, or choose distillation=logits"
        )


def check_budget(cache_budget_mb: float) -> None:
    """Refuse a budget below nothing.

    Raises:
        MillisError: as said.
    """
    if not cache_budget_mb >= 0:
        raise MillisError(
            f"distillation.cache_budget_mb={cache_budget_mb}: expected 0 (run the teacher in every step) or more"
        )
