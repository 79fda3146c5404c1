"""What feature terms are made of: matched features, what compares them, and a projection where widths differ."""

from collections.abc import Callable, Collection, Sequence
from typing import NamedTuple

import torch
from torch import Tensor, nn

from millis.data.batches import Batch
from millis.errors import MillisError, nearest
from millis.models.features import Feature

Compare = Callable[[Sequence[Tensor], Sequence[Tensor], Tensor], Tensor]
"""The student's features, the teacher's (each [B, S, width], fp32), and the mask [B, S] in, a scalar out."""


class Match(NamedTuple):
    """Features of one student layer, those of the teacher's layer that it learns from, and the distance."""

    student: tuple[Feature, ...]
    teacher: tuple[Feature, ...]
    compare: Compare


class FeatureLoss(nn.Module):
    """Σ over matches of their distance, in fp32 whatever precision the models compute in.

    Features are read from the batch under `student_key` and `teacher_key`.

    Args:
        matches: At least one.
        projection: The module that the distances share, to be trained; None where they need none.
    """

    def __init__(self, matches: Sequence[Match], projection: nn.Module | None = None) -> None:
        super().__init__()
        assert matches, "a term without layers would add 0 and teach nothing"
        self.matches, self.projection = tuple(matches), projection
        self.student_features = frozenset(feature for match in matches for feature in match.student)
        self.teacher_features = frozenset(feature for match in matches for feature in match.teacher)

    def forward(self, outputs: Sequence[Tensor], batch: Batch) -> Tensor:
        """The sum; the student's `outputs` are not read."""
        with torch.autocast(batch["attention_mask"].device.type, enabled=False):
            distances = [
                match.compare(
                    [batch[student_key(feature)].float() for feature in match.student],
                    [batch[teacher_key(feature)].float() for feature in match.teacher],
                    batch["attention_mask"],
                )
                for match in self.matches
            ]
            return torch.stack(distances).sum()


def student_key(feature: Feature) -> str:
    """Name of a student's feature in a batch."""
    return f"student/{feature}"


def teacher_key(feature: Feature) -> str:
    """Name of a teacher's feature in a batch."""
    return f"teacher/{feature}"


def answer_key(output: str) -> str:
    """Name of a teacher's logits in a batch."""
    return f"teacher_logits/{output}"


def projection(student_width: int, teacher_width: int) -> nn.Module:
    """A learned matrix from the student's width to the teacher's (TinyBERT, 1909.10351, equation 8); none if equal."""
    if student_width == teacher_width:
        return nn.Identity()
    return nn.Linear(student_width, teacher_width, bias=False)


def mean_over_tokens(values: Tensor, mask: Tensor) -> Tensor:
    """Mean of `values` [B, S] where `mask` [B, S] is 1. Each token weighs the same, so long texts weigh more."""
    return (values * mask).sum() / mask.sum()


def check_choice(name: str, value: str, choices: Collection[str]) -> None:
    """Refuse a setting that is none of `choices`.

    Raises:
        MillisError: with the nearest.
    """
    if value not in choices:
        raise MillisError(
            f"distillation: {name}={value!r} is unknown; expected one of {', '.join(choices)}"
            f"{nearest(str(value), choices)}"
        )
