"""Distilling logits by another divergence than forward KL."""

from dataclasses import dataclass
from inspect import getmembers, isfunction

from millis.distillation import logits
from millis.distillation.logits import LogitLoss, logit_mse
from millis.distillation.objective import Distillation
from millis.distillation.term import check_choice
from millis.traits import LEVELS, Traits

LOSSES: dict[str, LogitLoss] = {
    name: function
    for name, function in getmembers(logits, isfunction)
    if function.__module__ == logits.__name__ and not name.startswith("_")
}


@dataclass(frozen=True)
class LogitDistillation(Distillation):
    """(1 - α) · cross-entropy with the labels + α · loss(student's logits, teacher's logits, T).

    Args:
        logit_loss: A function of `millis.distillation.logits`, whose docstrings give their formulas. It is logged
            under its name.
    """

    logit_loss: str = "softened_kl"

    def __post_init__(self) -> None:
        super().__post_init__()
        check_choice("logit_loss", self.logit_loss, LOSSES)

    @property
    def traits(self) -> Traits:
        """Squared differences fit the level of logits too."""
        return (*super().traits, *((LEVELS,) if self.logit_loss == logit_mse.__name__ else ()))

    def answer_loss(self) -> tuple[str, LogitLoss]:
        """The chosen function."""
        return self.logit_loss, LOSSES[self.logit_loss]
