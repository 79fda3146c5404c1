"""Distilling hidden states: what each block passes on (TinyBERT, 1909.10351, equation 8; DistilBERT, 1910.01108)."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

import torch.nn.functional as F
from torch import Tensor, nn

from millis.distillation.contract import Pair
from millis.distillation.layer_map import LayerMap, matched
from millis.distillation.layer_map import check as check_layers
from millis.distillation.term import FeatureLoss, Match, check_choice, mean_over_tokens, projection
from millis.distillation.weight import Weight
from millis.distillation.weight import check as check_weight
from millis.models.features import Feature


def mse(student: Tensor, teacher: Tensor, mask: Tensor) -> Tensor:
    """Mean over tokens and channels of (student - teacher)²; [B, S, D] both, mask [B, S]."""
    return mean_over_tokens((student - teacher).square().mean(dim=-1), mask)


def cosine(student: Tensor, teacher: Tensor, mask: Tensor) -> Tensor:
    """Mean over tokens of 1 - cos(student, teacher): direction, whatever the length; [B, S, D] both, mask [B, S]."""
    return mean_over_tokens(1 - F.cosine_similarity(student, teacher, dim=-1), mask)


LOSSES: dict[str, Callable[[Tensor, Tensor, Tensor], Tensor]] = {"mse": mse, "cosine": cosine}


@dataclass(frozen=True)
class Hidden:
    """Σ over matched layers of loss( h_student · W, h_teacher ), padding left out.

    W [D_student, D_teacher] is learned where the widths differ, one for all layers, as in TinyBERT; where they are
    equal there is none, so that equal states cost nothing (the authors' code projects even then).

    Args:
        weight: A number or a schedule.
        loss: "mse" (TinyBERT) or "cosine" (DistilBERT, which compares the last layer).
        layers: A layer map.
    """

    weight: Weight
    loss: str
    layers: LayerMap

    def __post_init__(self) -> None:
        check_weight(self.weight)
        check_choice("loss", self.loss, LOSSES)
        check_layers(self.layers)

    def bind(self, pair: Pair) -> FeatureLoss:
        """The loss between the matched layers of `pair`."""
        project = projection(pair.student_sizes.hidden, pair.teacher_sizes.hidden)
        compare = partial(_projected, project, LOSSES[self.loss])
        matches = [
            Match((Feature("hidden", ours),), (Feature("hidden", theirs),), compare)
            for ours, theirs in matched(self.layers, pair)
        ]
        return FeatureLoss(matches, project)


def _projected(
    project: nn.Module, loss: Callable[..., Tensor], student: list[Tensor], teacher: list[Tensor], mask: Tensor
) -> Tensor:
    return loss(project(student[0]), teacher[0], mask)
