"""Distilling attention maps: which tokens look at which (TinyBERT, 1909.10351, equation 7; MiniLM, 2002.10957)."""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial

import torch
from torch import Tensor

from millis.distillation.contract import Pair
from millis.distillation.layer_map import LayerMap, matched
from millis.distillation.layer_map import check as check_layers
from millis.distillation.term import FeatureLoss, Match, check_choice
from millis.distillation.weight import Weight
from millis.distillation.weight import check as check_weight
from millis.errors import MillisError
from millis.models.features import Feature, log_probabilities, scores

HEADS = ("each", "mean")


def score_mse(student: Tensor, teacher: Tensor, mask: Tensor, mean: bool) -> Tensor:
    """Mean over heads and pairs of tokens of (student - teacher)².

    Args:
        student, teacher: Attention scores before softmax, [B, H, S, S]: the paper found them to fit better and faster
            than probabilities.
        mask: [B, S]; a pair with padding on either side is left out.
        mean: Average the scores over heads first.
    """
    if mean:
        student, teacher = student.mean(dim=1, keepdim=True), teacher.mean(dim=1, keepdim=True)
    pairs = (mask[:, :, None] * mask[:, None, :])[:, None]
    return ((student - teacher).square() * pairs).sum() / (pairs.sum() * student.shape[1])


def attention_kl(student: Tensor, teacher: Tensor, mask: Tensor, mean: bool) -> Tensor:
    """Mean over heads and tokens of KL( softmax(teacher) ‖ softmax(student) ), in nats.

    Each token's attention over its text is one distribution; the teacher's is the first argument (2002.10957,
    section 3.1, which averages in each text; here every token of a batch weighs the same).

    Args:
        student, teacher: Attention scores before softmax, [B, H, S, S].
        mask: [B, S]; padding is neither looked at nor looks.
        mean: Average the probabilities over heads first.
    """
    q, p = (log_probabilities(map_, mask) for map_ in (student, teacher))
    if mean:
        q, p = (torch.logsumexp(map_, dim=1, keepdim=True) - math.log(map_.shape[1]) for map_ in (q, p))
    divergences = (p.exp() * (p - q)).sum(dim=-1)  # [B, H, S]
    return (divergences * mask[:, None]).sum() / (mask.sum() * divergences.shape[1])


LOSSES: dict[str, Callable[[Tensor, Tensor, Tensor, bool], Tensor]] = {"mse": score_mse, "kl": attention_kl}


@dataclass(frozen=True)
class Attention:
    """Σ over matched layers of loss( attention of the student, attention of the teacher ).

    Attention is computed from query and key, without dropout.

    Args:
        weight: A number or a schedule.
        loss: "mse" of scores (TinyBERT) or "kl" of probabilities (MiniLM's, on every matched layer).
        heads: "each" compares head h with head h, so both need as many; "mean" averages over heads, for students
            with fewer.
        layers: A layer map.
    """

    weight: Weight
    loss: str
    heads: str
    layers: LayerMap

    def __post_init__(self) -> None:
        check_weight(self.weight)
        check_choice("loss", self.loss, LOSSES)
        check_choice("heads", self.heads, HEADS)
        check_layers(self.layers)

    def bind(self, pair: Pair) -> FeatureLoss:
        """The loss between the matched layers of `pair`.

        Raises:
            MillisError: a causal model, a layer without heads, or not as many as the teacher's where each is compared.
        """
        pair.check_bidirectional("comparing attention over whole texts")
        return FeatureLoss([self._match(pair, ours, theirs) for ours, theirs in matched(self.layers, pair)])

    def _match(self, pair: Pair, ours: int, theirs: int) -> Match:
        student, teacher = pair.student_sizes.heads[ours], pair.teacher_sizes.heads[theirs]
        if not student or not teacher:
            raise MillisError(
                f"student layer {ours} has {student} attention heads and teacher layer {theirs} has {teacher}: there "
                "is no attention to compare. Name other layers, or drop the term"
            )
        if self.heads == "each" and student != teacher:
            raise MillisError(
                f"student layer {ours} has {student} attention heads and teacher layer {theirs} has {teacher}, so head "
                "cannot be compared with head. Choose heads=mean, or distillation=minilmv2, whose relation heads are "
                "free of both"
            )
        compare = partial(_compare, LOSSES[self.loss], student, teacher, self.heads == "mean")
        return Match(_query_key(ours), _query_key(theirs), compare)


def _query_key(layer: int) -> tuple[Feature, ...]:
    return Feature("query", layer), Feature("key", layer)


def _compare(
    loss: Callable[[Tensor, Tensor, Tensor, bool], Tensor],
    student_heads: int,
    teacher_heads: int,
    mean: bool,
    student: Sequence[Tensor],
    teacher: Sequence[Tensor],
    mask: Tensor,
) -> Tensor:
    ours, theirs = scores(student[0], student[1], student_heads), scores(teacher[0], teacher[1], teacher_heads)
    return loss(ours, theirs, mask, mean)
