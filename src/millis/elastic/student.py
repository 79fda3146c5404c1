"""Students that are cut out of elastic weights: a transformer of any size that these were trained at."""

from dataclasses import dataclass
from typing import Any, ClassVar

from torch import nn

from millis.elastic.recipe import Elastic
from millis.elastic.setting import Setting
from millis.errors import MillisError
from millis.models import anatomy
from millis.models.selection import copy_selected
from millis.models.sizes import Size, check_size, count
from millis.models.student import TransformerStudent, head_count
from millis.models.transformer_spec import TransformerSpec
from millis.traits import IN_TRAINING, ON_POLICY, SCHEDULED, Reasons


@dataclass(frozen=True)
class ElasticStudent:
    """A dense student of the family `transformer`, equal to the elastic weights run at its size.

    The recipe's distillation, optimizer and trainer train the elastic weights: once, for every student that is cut out
    of them. A size is a count, a share of the teacher's, or None for the largest that was trained; it may lie between
    sizes that were.

    Args:
        elastic: The weights.
        layers, hidden_size, heads, ffn_size: As for `millis.models.student.TransformerStudent`.
        tune_epochs: Epochs of training after the cut; 0 takes it as it is.

    Raises:
        MillisError: a size that is neither a count nor a share, or epochs below 0.
    """

    fits: ClassVar[bool] = False
    cuts: ClassVar[str] = TransformerSpec.family

    elastic: Elastic
    layers: Size = None
    hidden_size: Size = None
    heads: Size = None
    ffn_size: Size = None
    tune_epochs: int = 0

    def __post_init__(self) -> None:
        for name in ("layers", "hidden_size", "heads", "ffn_size"):
            check_size(f"student.{name}", getattr(self, name))
        if self.tune_epochs < 0:
            raise MillisError(f"student.tune_epochs={self.tune_epochs}: expected 0 (as it is cut out) or more")

    @property
    def trains(self) -> bool:
        """Whether it learns on by itself."""
        return self.tune_epochs > 0

    @property
    def refuses(self) -> Reasons:
        """What acts in training acts after the cut; and many students in one step know no schedule."""
        schedule = (
            "student=elastic teaches all sizes by fixed shares of labels and teacher, and distillation.alpha is a "
            "schedule. Choose a number for distillation.alpha, or student=transformer"
        )
        untrained = (
            "{other} happens while a student trains, and student=elastic with student.tune_epochs=0 is taken as it is "
            "cut out. Choose student.tune_epochs=2, or {instead}"
        )
        own = (
            "student=elastic teaches students of all sizes in one step, and {other} has one student write what it "
            "learns from. Choose distillation=logits, or student=transformer"
        )
        return {SCHEDULED: schedule, ON_POLICY: own, **({} if self.trains else {IN_TRAINING: untrained})}

    def spec(self, teacher_spec: TransformerSpec) -> TransformerSpec:
        """The student's architecture.

        Raises:
            MillisError: as `Elastic.axes`, or a size outside of those that are trained.
        """
        return self.elastic.spec(teacher_spec, self.setting(teacher_spec))

    def setting(self, teacher: TransformerSpec) -> Setting:
        """Its sizes, of this teacher.

        Raises:
            MillisError: as `spec`.
        """
        axes, shape = self.elastic.axes(teacher), teacher.known_shape
        groups = anatomy.find(teacher.kind).groups(teacher.encoder)
        whole = {
            "layers": (axes.layers, teacher.layers), "hidden_size": (axes.hidden, anatomy.hidden_size(teacher)),
            "heads": (axes.heads, shape.heads[0]), "ffn_size": (axes.ffn, shape.ffn[0]),
        }  # fmt: skip
        found = {}
        for name, (sizes, of_teacher) in whole.items():
            asked = getattr(self, name)
            if asked is None:
                found[name] = sizes[-1]
                continue
            counted = head_count(asked, of_teacher, groups) if name == "heads" else count(asked, of_teacher)
            if not sizes[0] <= counted <= sizes[-1]:
                trained = str(sizes[0]) if len(sizes) == 1 else f"{sizes[0]} to {sizes[-1]}"
                raise MillisError(
                    f"student.{name}={asked} is {counted}, and the elastic weights are trained at {trained}: choose "
                    f"one of these, or train other sizes (student.elastic.{name})"
                )
            found[name] = counted
        return Setting(*found.values())

    def initialise(self, model: Any, large: nn.Module) -> None:
        """Copy the student's part of the elastic weights `large`."""
        shape = model.spec.known_shape
        setting = Setting(model.spec.layers, anatomy.hidden_size(model.spec), shape.heads[0], shape.ffn[0])
        elastic: Any = large
        copy_selected(model, elastic, setting.selection(elastic.spec))

    def describe(self, spec: TransformerSpec) -> str:
        """`elastic 3x384`, with sizes as a `TransformerStudent` says them."""
        tuned = f" tuned {self.tune_epochs}" if self.trains else ""
        return f"elastic{TransformerStudent().describe(spec).removeprefix('transformer')}{tuned}"
