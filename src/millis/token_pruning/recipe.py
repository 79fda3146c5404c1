"""Token pruning as a recipe asks for it: how many tokens stay, where they may go, how that is learned."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

from torch import Tensor

from millis.errors import MillisError
from millis.models.encoder import Transformer, grown
from millis.models.outputs import require_one_text
from millis.models.spec import Spec
from millis.models.token_pruning import with_tokens_dropped
from millis.models.transformer_spec import TransformerSpec
from millis.traits import CUTS_HEADS, DATA_SIZES, EXITS, FEATURES, FREEZES, IN_TRAINING, Reasons, Traits
from millis.types import Output

RAMP = 0.7  # of the soft steps, over which the share falls to the target; the rest settle on it
TRAVEL = 20.0  # by which log θ can move in the soft steps, Adam's being as long as the rate; the way is some 7
HOT, COLD = 1.0, 0.1  # temperatures of the gate, first and last: from a factor of e around θ to sharp
PRESSURE = 50.0  # of (share - target)²: where the loss would rise by 1 a unit of share, the share is 0.01 off


@dataclass(frozen=True)
class TokenPruning:
    """Learned thresholds on the attention that a token receives (LTP, 2107.00910; see `millis.models.token_pruning`).

    Soft first: every token has a weight, and the mean share of tokens that the feed-forwards take is drawn from 1 to
    `kept`. Then hard: thresholds are frozen, tokens below them are gone, and the rest of the training adapts to it.

    Args:
        kept: Share of the tokens, averaged over all layers and training texts, in (0, 1].
        layers: Layers, counted from 0, between whose attention and feed-forward tokens may go; None is every layer.
        soft: Share of the steps, in (0, 1), in which thresholds are learned.

    Raises:
        MillisError: values that cannot be.
    """

    kept: float = 0.5
    layers: Sequence[int] | None = None
    soft: float = 0.6
    traits: ClassVar[Traits] = (IN_TRAINING,)
    needs: ClassVar[Reasons] = {
        DATA_SIZES: "tokens makes sequences shorter by what is in them, and backend={backend} has no sizes that "
        "depend on values. Choose backend=native, onnxruntime, openvino or eager, or tokens=none"
    }
    refuses: ClassVar[Reasons] = {
        EXITS: "tokens and early_exit in one model: an exit would answer from tokens that the next layers drop, "
        "which nobody has measured. Choose tokens=none or early_exit=none",
        FREEZES: "tokens learns thresholds beside the model, and an adapter freezes all but its own. Choose "
        "adapter=none, or compress a teacher that was fine-tuned with teacher.adapter",
        CUTS_HEADS: "tokens reads off a layer's heads which tokens matter, and pruning that takes layers or all "
        "of a layer's heads away while they train leaves nothing to read. Choose fewer layers or heads from the start "
        "(student.layers, student.heads, pruning=to_latency) or another granularity",
        FEATURES: "tokens drops tokens inside the layers, and this distillation compares hidden states or "
        "attention of all of them. Choose distillation=logits, reverse_kl or jensen_shannon, or tokens=none",
    }

    def __post_init__(self) -> None:
        if not 0 < self.kept <= 1:
            raise MillisError(
                f"tokens.kept={self.kept}: expected the share of tokens that stays, above 0 and up to 1, such as 0.5"
            )
        if not 0 < self.soft < 1:
            raise MillisError(
                f"tokens.soft={self.soft}: expected the share of the steps that learns thresholds, between 0 and 1, "
                "both excluded; 0.6 is usual"
            )

    def describe(self) -> str:
        """For a recipe's name: `tokens 50%`."""
        return f"tokens {self.kept:.0%}"

    @staticmethod
    def check_outputs(outputs: Sequence[Output]) -> None:
        """Refuse outputs that a text that is not computed whole cannot give.

        Raises:
            MillisError: not one row of logits a text.
        """
        require_one_text(outputs, "tokens", "Choose tokens=none")

    def spec(self, spec: Spec) -> TransformerSpec:
        """The student's architecture with token pruning.

        Raises:
            MillisError: layers that do not exist, or a student that has none.
        """
        self.check_outputs(spec.outputs)
        dropping = with_tokens_dropped(spec, self._chosen(spec))
        first = dropping.tokens[0]
        if self.kept <= (whole := first / dropping.layers):
            raise MillisError(
                f"tokens.kept={self.kept} cannot be reached from layer {first} on: the layers before, which keep "
                f"every token, are {whole:.2f} of all. Raise tokens.kept above that, or begin at an earlier layer"
            )
        return dropping

    def attach(self, model: Transformer) -> Transformer:
        """`model` with fresh thresholds.

        Raises:
            MillisError: as `spec`.
        """
        return grown(model, self.spec(model.spec))

    def rate(self, soft_steps: int) -> float:
        """Peak rate of log θ, for so many steps."""
        return TRAVEL / soft_steps

    def temperature(self, progress: float) -> float:
        """Of the gate, after a share of the soft steps."""
        return float(HOT * (COLD / HOT) ** progress)

    def share(self, progress: float) -> float:
        """Of the tokens that is wanted after a share of the soft steps."""
        return 1 - (1 - self.kept) * min(1.0, progress / RAMP)

    def penalty(self, share: Tensor, progress: float) -> Tensor:
        """What is added to the loss for a share other than the wanted one."""
        return PRESSURE * (share - self.share(progress)).square()

    def _chosen(self, spec: Spec) -> list[int]:
        if self.layers is not None:
            return [int(layer) for layer in self.layers]
        return [] if spec.shape is None else [layer for layer, heads in enumerate(spec.shape.heads) if heads]


def none() -> None:
    """Every token goes through every layer: what `conf/tokens/none.yaml` asks for."""
