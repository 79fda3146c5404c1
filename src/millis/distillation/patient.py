"""Patient distillation: the first token's state, layer by layer (Sun et al. 2019, 1908.09355, section 3.2)."""

from collections.abc import Sequence
from dataclasses import dataclass

import torch.nn.functional as F
from torch import Tensor

from millis.distillation.contract import Pair
from millis.distillation.layer_map import LayerMap, matched
from millis.distillation.layer_map import check as check_layers
from millis.distillation.term import FeatureLoss, Match, projection
from millis.distillation.weight import Weight
from millis.distillation.weight import check as check_weight
from millis.models.features import Feature


def normalised_mse(student: Tensor, teacher: Tensor) -> Tensor:
    """Mean over texts and channels of ( s / ‖s‖₂ - t / ‖t‖₂ )²; [B, D] both.

    Equals 2 (1 - cos) / D on average over texts.
    """
    return F.mse_loss(F.normalize(student, dim=-1), F.normalize(teacher, dim=-1))


@dataclass(frozen=True)
class Patient:
    """Mean over matched layers of the normalised squared error between the states of the first token.

    The first token is [CLS] or <s> in every architecture here; it holds the text's meaning in a model with
    `model.pooling=cls`, less of it in one that averages. The paper's equation sums over texts and channels; its
    code takes the mean over texts, layers and channels, and its weights β of 10 to 1,000 belong to that, so the mean
    is taken here too. The paper's models are equally wide; a learned projection bridges widths that differ.

    Args:
        weight: β, a number or a schedule.
        layers: A layer map; the paper's best is "skip".
    """

    weight: Weight
    layers: LayerMap

    def __post_init__(self) -> None:
        check_weight(self.weight)
        check_layers(self.layers)

    def bind(self, pair: Pair) -> FeatureLoss:
        """The loss between the matched layers of `pair`.

        Raises:
            MillisError: a causal model, whose first token knows nothing of its text.
        """
        pair.check_bidirectional("the state of the first token")
        project = projection(pair.student_sizes.hidden, pair.teacher_sizes.hidden)
        layers = matched(self.layers, pair)

        def compare(student: Sequence[Tensor], teacher: Sequence[Tensor], _mask: Tensor) -> Tensor:
            return normalised_mse(project(student[0][:, 0]), teacher[0][:, 0]) / len(layers)

        matches = [Match((Feature("hidden", ours),), (Feature("hidden", theirs),), compare) for ours, theirs in layers]
        return FeatureLoss(matches, project)
