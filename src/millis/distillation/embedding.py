"""Distilling embeddings: the sum of word and position vectors that enters the first block (1909.10351, equation 9)."""

from collections.abc import Sequence
from dataclasses import dataclass

from torch import Tensor

from millis.distillation.contract import Pair
from millis.distillation.hidden import mse
from millis.distillation.term import FeatureLoss, Match, projection
from millis.distillation.weight import Weight
from millis.distillation.weight import check as check_weight
from millis.models.features import Feature


@dataclass(frozen=True)
class Embedding:
    """Mean over tokens and channels of ( e_student · W - e_teacher )², padding left out.

    e is what enters the first block, normalised, before dropout; W [D_student, D_teacher] is learned where the widths
    differ. The paper has a W of its own here, apart from that of the hidden states, and so have we.

    Args:
        weight: A number or a schedule.
    """

    weight: Weight

    def __post_init__(self) -> None:
        check_weight(self.weight)

    def bind(self, pair: Pair) -> FeatureLoss:
        """The loss between the embeddings of `pair`."""
        project = projection(pair.student_sizes.hidden, pair.teacher_sizes.hidden)

        def compare(student: Sequence[Tensor], teacher: Sequence[Tensor], mask: Tensor) -> Tensor:
            return mse(project(student[0]), teacher[0], mask)

        feature = (Feature("embedding", 0),)
        return FeatureLoss([Match(feature, feature, compare)], project)
