"""Early exit as a recipe asks for it: where exits stand, how they are trained, and when a text leaves."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

from millis.early_exit import policy as policies
from millis.early_exit.training import Training
from millis.errors import MillisError
from millis.models.encoder import Transformer, grown
from millis.models.exits import with_exits_after
from millis.models.outputs import require_one_text
from millis.models.spec import Spec
from millis.models.transformer_spec import TransformerSpec
from millis.traits import CUTS_LAYERS, EXITS, FREEZES, IN_TRAINING, SCHEDULED, SEGMENTS, Reasons, Traits
from millis.types import Output

DEPLOYED = ("policy", "quality_drop", "confidence")  # decided after training, which they leave as it is


@dataclass(frozen=True)
class EarlyExit:
    """Classifiers after chosen layers of a transformer student, and a policy that stops at the first that is sure.

    Args:
        training: How the exits are trained, see `millis.early_exit.training`.
        layers: Layers, counted from 0, after which an exit stands; None is every layer but the last.
        policy: When an exit is sure enough: a file of `millis.early_exit.policy`.
        quality_drop: Points that the validation split may lose against the last exit.
        confidence: Of the upper bound on the drop that is reported.

    Raises:
        MillisError: values that cannot be.
    """

    training: Training
    layers: Sequence[int] | None = None
    policy: str = "maximum_probability"
    quality_drop: float = 0.5
    confidence: float = 0.95
    traits: ClassVar[Traits] = (IN_TRAINING, EXITS)
    needs: ClassVar[Reasons] = {
        SEGMENTS: "early_exit stops between segments of a model, and backend={backend} runs it as a whole. "
        "Choose backend=native, onnxruntime, openvino or eager, or early_exit=none"
    }
    refuses: ClassVar[Reasons] = {
        SCHEDULED: "early_exit teaches every exit by fixed shares of labels and teacher, and distillation.alpha "
        "is a schedule. Choose a number for distillation.alpha, or early_exit=none",
        FREEZES: "early_exit trains classifiers beside the model, and an adapter freezes all but the last. "
        "Choose adapter=none, or compress a teacher that was fine-tuned with teacher.adapter",
        CUTS_LAYERS: "early_exit puts exits after layers, and pruning whole layers while they train would take "
        "the layers away under them. Choose fewer layers from the start (student.layers) or another granularity",
    }

    def __post_init__(self) -> None:
        policies.named(self.policy)
        if not self.quality_drop >= 0:
            raise MillisError(
                f"early_exit.quality_drop={self.quality_drop}: expected points of the metric that may be lost, 0 or "
                "more"
            )
        if not 0 < self.confidence < 1:
            raise MillisError(
                f"early_exit.confidence={self.confidence}: expected a probability between 0 and 1, both excluded, such "
                "as 0.95"
            )

    @staticmethod
    def check_outputs(outputs: Sequence[Output]) -> None:
        """Refuse outputs that a text that is not computed whole cannot give.

        Raises:
            MillisError: not one row of logits a text.
        """
        require_one_text(outputs, "early_exit", "Choose early_exit=none")

    def spec(self, spec: Spec) -> TransformerSpec:
        """The student's architecture with exits.

        Raises:
            MillisError: an exit layer that does not exist, or a student that can have none.
        """
        self.check_outputs(spec.outputs)
        return with_exits_after(spec, self._chosen(spec))

    def attach(self, model: Transformer) -> Transformer:
        """`model` with fresh exits.

        Raises:
            MillisError: as `spec`.
        """
        return grown(model, self.spec(model.spec))

    def _chosen(self, spec: Spec) -> list[int]:
        if self.layers is not None:
            return [int(layer) for layer in self.layers]
        return [] if spec.shape is None else list(range(len(spec.shape.heads) - 1))


def none() -> None:
    """Every text goes through every layer: what `conf/early_exit/none.yaml` asks for."""
