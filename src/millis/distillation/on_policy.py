"""On-policy distillation (GKD, Agarwal et al. 2024, 2306.13649): a student learns from what it writes itself.

A student that learns from right answers alone never sees what its own mistakes lead to. Algorithm 1: with probability λ
a batch is answered by the student, sampled from its own distribution, else by the data; either way the loss is how far
the student is from the teacher at each token of the answers, and gradients do not go through the sampling:

    D(y, x) = mean over tokens of D(p_T(· | y_<n, x) ‖ p_S(· | y_<n, x))

With the draft of speculative decoding as the student this is DistillSpec (Zhou et al. 2024, 2310.08461), which raises
the share of guesses that the large model accepts.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

from millis.data.encode import Encoded
from millis.distillation.contract import Pair, Stage
from millis.distillation.logit_distillation import LogitDistillation
from millis.distillation.weighted_terms import Objective
from millis.errors import MillisError
from millis.models.outputs import writes
from millis.traits import ON_POLICY, Traits
from millis.types import Output


@dataclass(frozen=True)
class OnPolicy:
    """How a student learns from its own answers. Labels are not: the teacher judges the data's answers, too.

    Args:
        share: λ, of the batches that the student answers; 1 reads no answer of the data.
        logit_loss: D, a function of `millis.distillation.logits`.
        temperature: T > 0, softens both distributions in D. Answers are sampled at 1.

    Raises:
        MillisError: a share that is none, or as `LogitDistillation`.
    """

    needs_logits: ClassVar[bool] = True
    cache: ClassVar[bool] = False  # nothing is known beforehand of what the student will write
    cache_limit_bytes: ClassVar[float] = 0.0
    traits: ClassVar[Traits] = (ON_POLICY,)

    share: float = 0.5
    logit_loss: str = "jensen_shannon"
    temperature: float = 1.0

    def __post_init__(self) -> None:
        if not 0 < self.share <= 1:
            raise MillisError(
                f"distillation.share={self.share}: expected a share of the batches, above 0 to 1. For none choose "
                f"another distillation, such as distillation={self.logit_loss}"
            )
        _ = self._answers

    @property
    def _answers(self) -> LogitDistillation:
        return LogitDistillation(1.0, self.temperature, logit_loss=self.logit_loss)

    @staticmethod
    def check_outputs(outputs: Sequence[Output]) -> None:
        """Refuse outputs that do not write.

        Raises:
            MillisError: as said.
        """
        if not writes(outputs):
            raise MillisError(
                "distillation=on_policy has the student write, and this task's answers are chosen: expected "
                "task=translation, summarisation or language_model. Choose distillation=logits"
            )

    def stages(self) -> Sequence[Stage]:
        """Itself alone."""
        return (Stage("distillation", 1.0, self),)

    def objective(self, rows: Encoded, pair: Pair | None = None) -> Objective:
        """The divergence alone.

        Args:
            rows: What the student trains on.
            pair: Must share a tokenizer, for the teacher reads what the student wrote.

        Raises:
            MillisError: they have tokenizers of their own.
        """
        if pair is not None and pair.rows is not pair.teacher_rows:
            raise MillisError(
                "distillation=on_policy has the teacher read the student's own tokens, and the two have different "
                "tokenizers. Keep the teacher's (no smaller vocabulary), or choose distillation=logits"
            )
        return self._answers.objective(rows)
