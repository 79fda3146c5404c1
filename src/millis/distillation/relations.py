"""Distilling self-attention relations: how queries, keys and values of a text's tokens lie to each other.

MiniLM (Wang et al. 2020, 2002.10957, section 3.1 and 3.2): query-key, which is attention itself, and value-value, of
the last layer. MiniLMv2 (Wang et al. 2021, 2012.15828, section 3.2): query-query, key-key and value-value over
relation heads whose number is free, so that student and teacher need not have the same heads or widths.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial

from torch import Tensor

from millis.distillation.attention import attention_kl
from millis.distillation.contract import Pair
from millis.distillation.layer_map import LayerMap, matched
from millis.distillation.layer_map import check as check_layers
from millis.distillation.term import FeatureLoss, Match, check_choice
from millis.distillation.weight import Weight
from millis.distillation.weight import check as check_weight
from millis.errors import MillisError
from millis.models.features import PROJECTIONS, Feature, Sizes, scores


def relation_kl(
    student: Sequence[Tensor], teacher: Sequence[Tensor], mask: Tensor, student_heads: int, teacher_heads: int
) -> Tensor:
    """Mean over heads and tokens of KL( R_teacher ‖ R_student ), R = softmax( left · rightᵀ / √(A / heads) ), in nats.

    2012.15828, section 3.2 (there a mean in each text; here every token of a batch weighs the same).

    Args:
        student, teacher: (left, right), each [B, S, A]; A is the model's own.
        mask: [B, S]; padding takes no part.
        student_heads, teacher_heads: The same number, R's second axis.
    """
    ours, theirs = scores(student[0], student[1], student_heads), scores(teacher[0], teacher[1], teacher_heads)
    return attention_kl(ours, theirs, mask, mean=False)


@dataclass(frozen=True)
class Relation:
    """Σ over matched layers of `relation_kl`.

    Args:
        weight: A number or a schedule.
        left, right: "query", "key" or "value".
        heads: Relation heads: all heads' vectors are laid side by side and cut anew into so many. None takes the
            models' own heads, of which both then need as many.
        layers: A layer map; [[-1, -1]] is the last layer of both.
    """

    weight: Weight
    left: str
    right: str
    heads: int | None
    layers: LayerMap

    def __post_init__(self) -> None:
        check_weight(self.weight)
        check_choice("left", self.left, PROJECTIONS)
        check_choice("right", self.right, PROJECTIONS)
        if self.heads is not None and self.heads < 1:
            raise MillisError(f"distillation: heads={self.heads} relation heads: expected at least 1, or null")
        check_layers(self.layers)

    def bind(self, pair: Pair) -> FeatureLoss:
        """The loss between the matched layers of `pair`.

        Raises:
            MillisError: relation heads that do not divide a layer's width, or that its own heads do not agree on.
        """
        return FeatureLoss([self._match(pair, ours, theirs) for ours, theirs in matched(self.layers, pair)])

    def _match(self, pair: Pair, ours: int, theirs: int) -> Match:
        student = self._heads(pair.student_sizes, ours, "student")
        teacher = self._heads(pair.teacher_sizes, theirs, "teacher")
        if student != teacher:
            raise MillisError(
                f"student layer {ours} has {student} attention heads and teacher layer {theirs} has {teacher}: their "
                "relations cannot be compared head by head. Set heads to a number that divides both widths "
                f"({pair.student_sizes.width(Feature('query', ours))} and "
                f"{pair.teacher_sizes.width(Feature('query', theirs))}), as MiniLMv2 does"
            )
        compare = partial(relation_kl, student_heads=student, teacher_heads=teacher)
        return Match(self._features(ours), self._features(theirs), compare)

    def _heads(self, sizes: Sizes, layer: int, owner: str) -> int:
        width = sizes.width(Feature("query", layer))
        heads = sizes.heads[layer] if self.heads is None else self.heads
        if not width:
            raise MillisError(
                f"{owner} layer {layer} has no attention heads left: it has no relations. Name another layer, or drop "
                "the term"
            )
        if width % heads:
            fits = [number for number in range(1, width + 1) if width % number == 0]
            raise MillisError(
                f"heads={heads} relation heads do not divide the {width} query channels of {owner} layer {layer}: "
                f"expected one of {', '.join(map(str, fits))}"
            )
        return heads

    def _features(self, layer: int) -> tuple[Feature, ...]:
        return Feature(self.left, layer), Feature(self.right, layer)
