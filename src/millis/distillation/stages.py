"""Stages: features first, then answers (TinyBERT's task-specific distillation, 1909.10351, section 3.2)."""

from collections.abc import Sequence
from dataclasses import dataclass

from millis.distillation.contract import Stage
from millis.distillation.features import FeatureDistillation, FeaturesOnly
from millis.distillation.logit_distillation import LogitDistillation
from millis.errors import MillisError


@dataclass(frozen=True)
class TwoStage(FeatureDistillation):
    """Σ weight · feature term until the features fit, then (1 - α) · cross-entropy + α · logit loss.

    Each stage is a training of its own: optimizer, learning-rate schedule and weight schedules start anew, and the
    second begins with the weights that the first ends with. The first neither reads labels nor trains the classifier,
    so its epochs are judged by its own loss.

    Args:
        features_share: Share of the epochs given to the first stage, between 0 and 1.
    """

    features_share: float = 0.87  # 20 of 23 epochs in the paper

    def __post_init__(self) -> None:
        super().__post_init__()
        if not 0 < self.features_share < 1:
            raise MillisError(
                f"distillation.features_share={self.features_share}: expected between 0 and 1, both excluded; for one "
                "stage take millis.distillation.features.FeatureDistillation"
            )

    def stages(self) -> Sequence[Stage]:
        """`features`, then `answers`."""
        answers = LogitDistillation(
            self.alpha, self.temperature, self.label_smoothing, self.balanced, self.cache, self.logit_loss
        )
        features = FeaturesOnly(self.terms, self.cache, self.cache_budget_mb)
        return (
            Stage("features", self.features_share, features),
            Stage("answers", 1 - self.features_share, answers),
        )


def split_epochs(stages: Sequence[Stage], epochs: int) -> list[int]:
    """Whole epochs of each stage, by its share, at least one each, `epochs` in all.

    Raises:
        MillisError: fewer epochs than stages.
    """
    if epochs < len(stages):
        raise MillisError(
            f"trainer.max_epochs={epochs} is too few for {len(stages)} stages ({', '.join(s.name for s in stages)}): "
            f"expected at least {len(stages)}, or a distillation of one stage"
        )
    counts, left, share = [], epochs, sum(stage.share for stage in stages)
    for index, stage in enumerate(stages):
        after = len(stages) - index - 1
        count = left if not after else min(max(1, round(left * stage.share / share)), left - after)
        counts.append(count)
        left, share = left - count, share - stage.share
    return counts
