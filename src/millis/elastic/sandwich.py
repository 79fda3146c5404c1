"""The sandwich rule: in every step the largest student, the smallest and some between learn, on the same texts.

    loss = 1 / (2 + k) · ( L(largest) + Σ over the others of (1 - w) · L(student) + w · D(largest ‖ student) )

L is what the distillation minimises: labels and the teacher's kept answers, each with its share. D is its divergence
with the largest student's answers to the same batch in the teacher's place, from which no gradient flows back: in-place
distillation (Yu & Huang 2019, 1903.05134, sections 3.2 and 3.3; BigNAS, 2003.11142, section 3.1). There the others
learn from the largest alone; here they learn the teacher's answers as well, which are kept and cost nothing.
"""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from millis.data.batches import Batch
from millis.data.encode import Encoded
from millis.data.positions import asked_inputs, at_targets, targets_of
from millis.distillation.contract import Pair, Stage
from millis.distillation.term import answer_key
from millis.distillation.weight import Weight, scaled
from millis.distillation.weighted_terms import Objective, Term
from millis.elastic.policy import Policy
from millis.elastic.setting import Axes, Setting
from millis.elastic.slices import Slice

Terms = Mapping[str, tuple[Weight, Term]]


class Smaller(nn.Module):
    """The mean loss of the smallest student and of those that the policy draws: a term of the objective.

    Which are drawn follows from the seed and the number of batches so far alone, which lies in checkpoints: a continued
    run draws on, and so does each of several processes.

    Args:
        model: The elastic weights, at their largest.
        axes: Their sizes.
        policy: What draws.
        sampled: How many are drawn in a step, k.
        own: Terms that teach a student its answers.
        inner: The same with the largest student in the teacher's place.
        from_largest: Weight of the latter, w.
        seed: Of the draws.
    """

    batches: Tensor

    def __init__(
        self,
        model: Any,
        axes: Axes,
        policy: Policy,
        sampled: int,
        own: Terms,
        inner: Terms,
        from_largest: float,
        seed: int,
    ) -> None:
        super().__init__()
        self.axes, self.policy, self.sampled, self.seed = axes, policy, sampled, seed
        self.terms = [(own, 1 - from_largest), (inner, from_largest)]
        self.held = (model,)  # in a tuple: it is trained as the student, not as a part of the objective
        self.slices: dict[Setting, Slice] = {}
        self.last: Tensor | None = None  # rows of the batch that was counted last
        self.register_buffer("batches", torch.zeros((), dtype=torch.int64))

    def forward(self, outputs: Sequence[Tensor], batch: Batch) -> Tensor:
        """The mean over the students of this batch; `outputs` are the largest student's."""
        if batch["rows"] is not self.last:  # one that is computed twice is drawn for once
            self.last = batch["rows"]
            self.batches += 1
        inputs = asked_inputs(batch, self.held[0].spec)
        said = {
            answer_key(name): at_targets(logits.detach(), targets)[0]
            for logits, (name, targets) in zip(outputs, targets_of(batch).items(), strict=True)
        }
        losses = [self._loss(self.slice(setting)(**inputs), batch, said) for setting in self.drawn()]
        return torch.stack(losses).mean()

    def drawn(self) -> list[Setting]:
        """The settings of the batch that was counted last, the smallest first."""
        random = np.random.default_rng([self.seed, int(self.batches)])
        return [self.axes.smallest, *self.policy.draw(self.axes, self.sampled, random)]

    def slice(self, setting: Setting) -> Slice:
        """The model at a setting; what it is made of is kept."""
        if setting not in self.slices:
            self.slices[setting] = Slice(self.held[0], setting)
        return self.slices[setting]

    def _loss(self, outputs: Sequence[Tensor], batch: Batch, said: Mapping[str, Tensor]) -> Tensor:
        heard: tuple[Mapping[str, Tensor], ...] = ({}, said)
        return torch.stack([
            share * _constant(weight) * term(outputs, {**batch, **more})
            for (terms, share), more in zip(self.terms, heard, strict=True)
            if share
            for weight, term in terms.values()
        ]).sum()  # fmt: skip


class Sandwich:
    """A distillation that teaches students of all sizes; what it needs of the teacher is told by the attributes.

    Args:
        method: A distillation with `answer_terms`.
        axes: Sizes of the students.
        policy, sampled, from_largest, seed: As for `Smaller`.
    """

    def __init__(self, method: Any, axes: Axes, policy: Policy, sampled: int, from_largest: float, seed: int) -> None:
        self.method, self.axes, self.policy, self.seed = method, axes, policy, seed
        self.sampled, self.from_largest = sampled, from_largest
        self.needs_logits: bool = method.needs_logits
        self.cache: bool = method.cache
        self.cache_limit_bytes: float = method.cache_limit_bytes

    def stages(self) -> Sequence[Stage]:
        """Itself alone."""
        return (Stage("elastic", 1.0, self),)

    def objective(self, rows: Encoded, pair: Pair | None = None) -> Objective:
        """The method's terms for the largest, and those of all others as one.

        Epochs are judged by the mean quality of the smallest, the middle and the largest student.
        """
        assert pair is not None, "students are cut from a model"
        own = self.method.answer_terms(rows)
        inner = replace(self.method, alpha=1.0).answer_terms(rows)
        smaller = Smaller(
            pair.student, self.axes, self.policy, self.sampled, own, inner, self.from_largest, self.seed
        )  # fmt: skip
        share = 1 / (2 + self.sampled)
        largest = self.method.objective(rows, pair).terms
        terms = {name: (scaled(weight, share), term) for name, (weight, term) in largest.items()}
        judged = dict.fromkeys([self.axes.smallest, self.axes.middle, self.axes.largest])
        return Objective(
            {**terms, "smaller_students": (1 - share, smaller)}, judged=[smaller.slice(setting) for setting in judged]
        )


def _constant(weight: Weight) -> float:
    assert not callable(weight), "a schedule is refused with the recipe"
    return weight
