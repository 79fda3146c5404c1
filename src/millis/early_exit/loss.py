"""What exits learn from: the labels and the teacher, as the last exit does, or the last exit itself.

Each is a term of the objective: the student's outputs, logits [B, C], and the batch in, where the exits' own logits lie
as features (`exit/<layer>`), a scalar out.
"""

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor, nn

from millis.data.batches import Batch
from millis.distillation.logits import softened_kl
from millis.distillation.term import student_key
from millis.distillation.weight import Weight
from millis.distillation.weighted_terms import Term
from millis.models.features import Feature


class ExitLoss(nn.Module):
    """Σ weight · term at one exit: what teaches the last exit, on this one's logits.

    Args:
        layer: The exit's.
        terms: Name → (weight, term), of a distillation.
    """

    def __init__(self, layer: int, terms: Mapping[str, tuple[Weight, Term]]) -> None:
        super().__init__()
        self.exit, self.terms = Feature("exit", layer), dict(terms)
        self.student_features = frozenset([self.exit])

    def forward(self, outputs: Sequence[Tensor], batch: Batch) -> Tensor:
        """The sum; `outputs`, the last exit's, are not read."""
        own = (batch[student_key(self.exit)],)
        return torch.stack([_constant(weight) * term(own, batch) for weight, term in self.terms.values()]).sum()


class FromLast(nn.Module):
    """T² · KL( softmax(z_last / T) ‖ softmax(z_exit / T) ), averaged over the batch: FastBERT's self-distillation
    (2004.02178, where T = 1). No gradient reaches the last exit.

    Args:
        layer: The exit's.
        temperature: T > 0.
    """

    def __init__(self, layer: int, temperature: float) -> None:
        super().__init__()
        self.exit, self.temperature = Feature("exit", layer), temperature
        self.student_features = frozenset([self.exit])

    def forward(self, outputs: Sequence[Tensor], batch: Batch) -> Tensor:
        """The divergence from the last exit's logits."""
        return softened_kl(batch[student_key(self.exit)], outputs[0].detach(), self.temperature)


class EveryOther(nn.Module):
    """A term that is felt in every second batch, the second one first; its value is given, and logged, in all.

    A batch that is computed twice (`millis.training.adversarial`) counts once.

    Args:
        term: With `student_features`.
    """

    batches: Tensor

    def __init__(self, term: ExitLoss) -> None:
        super().__init__()
        self.term, self.student_features = term, term.student_features
        self.last: Tensor | None = None  # rows of the batch that was counted last
        self.register_buffer(
            "batches", torch.zeros((), dtype=torch.int64)
        )  # in checkpoints: a continued run alternates on

    def forward(self, outputs: Sequence[Tensor], batch: Batch) -> Tensor:
        """The term's value, with a gradient in batches 2, 4, ..."""
        if batch["rows"] is not self.last:
            self.last = batch["rows"]
            self.batches += 1
        value: Tensor = self.term(outputs, batch)
        return value if int(self.batches) % 2 == 0 else value.detach()


def depth_weights(layers: Sequence[int], last: int) -> list[float]:
    """Weight of each exit beside the last one's 1: its depth over the last's, (l + 1) / L.

    PABEE's weighted average Σ j · L_j / Σ j (2006.04152) up to one factor: deeper exits answer better and
    count for more.
    """
    return [(layer + 1) / last for layer in layers]


def _constant(weight: Weight) -> float:
    assert not callable(weight), "labels and logits have constant weights"
    return weight
