"""What training minimises: named, weighted terms, each logged unweighted."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from millis.data.batches import Batch
from millis.distillation.weight import Weight
from millis.models.features import Feature

Term = Callable[[Sequence[Tensor], Batch], Tensor]
"""The student's outputs, one tensor of logits each, and the batch in, a scalar out."""

Answering = Callable[..., Any]
"""Token ids and mask in, by name, logits out: a model, or a part of one."""


class Objective(nn.Module):
    """Σ weight(progress) · term.

    A term that is a module (a learned projection between widths) is trained with the student and lies in its
    checkpoints, but is no part of the student. Terms say what they read by the attributes `student_features` and
    `teacher_features`; without them, logits and labels are all they read.

    Args:
        terms: Name → (weight, term).
        answers: Whether the terms train the logits; if not, validation quality says nothing about progress.
        judged: What answers validation texts: the mean of their qualities is the epoch's. None for the model itself.
    """

    def __init__(
        self, terms: Mapping[str, tuple[Weight, Term]], answers: bool = True, judged: Sequence[Answering] = ()
    ) -> None:
        super().__init__()
        self.terms, self.answers, self.judged = dict(terms), answers, tuple(judged)
        # Prefixed, for a ModuleDict has methods of its own that a term could be named like: "values", "keys".
        self.learned = nn.ModuleDict(
            {f"term_{name}": term for name, (_, term) in self.terms.items() if isinstance(term, nn.Module)}
        )
        self.student_features = self._union("student_features")
        self.teacher_features = self._union("teacher_features")

    def forward(
        self, outputs: Sequence[Tensor], batch: Batch, progress: float = 0.0
    ) -> tuple[Tensor, dict[str, Tensor]]:
        """The weighted sum, and each term before its weight.

        Args:
            outputs: The student's logits, [B, C] per text or [B, S, C] per token.
            batch: With a teacher's logits and features where terms read them.
            progress: Share of the training that is done, in [0, 1].
        """
        values = {name: term(outputs, batch) for name, (_, term) in self.terms.items()}
        weights = {name: _at(weight, progress) for name, (weight, _) in self.terms.items()}
        total = torch.stack([weights[name] * value for name, value in values.items()]).sum()
        return total, {name: value.detach() for name, value in values.items()}

    def _union(self, attribute: str) -> frozenset[Feature]:
        return frozenset().union(*(getattr(term, attribute, ()) for _, term in self.terms.values()))


def _at(weight: Weight, progress: float) -> float:
    return weight(progress) if callable(weight) else weight
