"""What a distillation offers to the pipeline, and what a feature term is given.

A distillation is the target of a file in `conf/distillation/`; a feature term is one of the `terms` inside. Adding a
loss is adding one file with a class like `millis.distillation.hidden.Hidden`, and a YAML that names it.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, NamedTuple, Protocol

import numpy as np
from torch import Tensor

from millis.data.batches import Batch, Rows
from millis.data.encode import Encoded
from millis.distillation.weight import Weight
from millis.distillation.weighted_terms import Objective
from millis.errors import MillisError
from millis.models import anatomy
from millis.models.features import Sizes, sizes


@dataclass(frozen=True)
class Pair:
    """A student, its teacher, and the training rows that both see.

    Args:
        student, teacher: The modules, as they are when the stage begins.
        rows: The training split in the student's token ids.
        teacher_rows: The same texts in the teacher's; `rows` itself where the two share a tokenizer.
    """

    student: Any
    teacher: Any
    rows: Rows
    teacher_rows: Rows

    @cached_property
    def student_sizes(self) -> Sizes:
        """Raises `MillisError` for a student without layers."""
        return sizes(self.student.spec, "student")

    @cached_property
    def teacher_sizes(self) -> Sizes:
        """Raises `MillisError` for a teacher without layers."""
        return sizes(self.teacher.spec, "teacher")

    def check_bidirectional(self, term: str) -> None:
        """Some terms have no meaning where a token sees only those before it.

        Raises:
            MillisError: a model is causal.
        """
        for owner, model in (("student", self.student), ("teacher", self.teacher)):
            layers = anatomy.find(model.spec.kind).layers(model.encoder)
            if any(getattr(layer.attention, "is_causal", False) for layer in layers):
                raise MillisError(
                    f"the {owner} is a {model.spec.kind!r} model, whose tokens see only those before them: {term} "
                    "would teach nothing there. Take hidden states or relations instead (distillation=hidden, minilmv2)"
                )

    def check_targets(self) -> None:
        """Logits are compared target by target: both models must have as many of them in every text.

        Raises:
            MillisError: they do not.
        """
        for output in self.rows.encoded.outputs:
            ours, theirs = (np.diff(rows.encoded.positions(output)) for rows in (self.rows, self.teacher_rows))
            if len(different := np.flatnonzero(ours != theirs)):
                row = int(different[0])
                raise MillisError(
                    f"{len(different)} of {len(ours)} training texts have other words to answer for the student than "
                    f"for the teacher (row {row}: {ours[row]} and {theirs[row]} of {output.name}): one of them reads "
                    "less of a text. Keep the teacher's tokenizer and length"
                )

    def check_positions(self) -> None:
        """Feature terms compare token by token: both tokenizers must cut every text into as many tokens.

        Raises:
            MillisError: they do not.
        """
        ours, theirs = self.rows.encoded.lengths, self.teacher_rows.encoded.lengths
        if ours.shape != theirs.shape:
            raise MillisError(
                f"the student trains on {len(ours)} rows, the teacher has {len(theirs)}: feature terms need the "
                "teacher's features of every training row"
            )
        different = np.flatnonzero(ours != theirs)
        if len(different):
            row = int(different[0])
            raise MillisError(
                f"student and teacher cut {len(different)} of {len(ours)} training texts into different tokens (row "
                f"{row}: {ours[row]} and {theirs[row]} tokens), but feature terms compare token by token. Keep the "
                "teacher's tokenizer and length (no vocabulary trimming that splits words), or choose "
                "distillation=logits"
            )


class Method(Protocol):
    """The target of `conf/distillation/*.yaml`: what a stage of training minimises."""

    @property
    def cache(self) -> bool:
        """Whether the teacher's outputs are computed once and kept, where they fit."""
        ...

    @property
    def cache_limit_bytes(self) -> float:
        """Most that the teacher's cached features may take; logits are always small enough."""
        ...

    @property
    def needs_logits(self) -> bool:
        """Whether a term reads the teacher's logits."""
        ...

    def stages(self) -> "Sequence[Stage]":
        """What is trained one after the other; most distillations are their own only stage."""
        ...

    def objective(self, rows: Encoded, pair: Pair | None = None) -> Objective:
        """The terms that have weight; `pair` is read by feature terms only.

        Args:
            rows: What the student trains on.
        """
        ...


class Stage(NamedTuple):
    """One of the trainings that make up a distillation: its name, its share of the epochs, what it minimises.

    `trains` is what the names of the weights it trains begin with, all else being frozen; None trains every weight.
    """

    name: str
    share: float
    distillation: Method
    trains: str | None = None


class FeatureTerm(Protocol):
    """A term over features, as configured: `bind` finds the layers and checks that the two models fit."""

    @property
    def weight(self) -> Weight:
        """Its weight; 0 leaves the term out, capture included."""
        ...

    def bind(self, pair: Pair) -> Callable[[Sequence[Tensor], Batch], Tensor]:
        """The loss for these two models, a `millis.distillation.term.FeatureLoss`.

        Raises:
            MillisError: the models do not fit the term.
        """
        ...


Terms = Mapping[str, FeatureTerm]
"""Feature terms by the name under which they are logged."""
