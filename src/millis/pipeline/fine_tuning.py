"""How a teacher is made: a pre-trained model, fine-tuned on a data set for a task."""

from dataclasses import dataclass, fields, replace
from typing import Any, Self

from millis.described import described
from millis.errors import MillisError
from millis.tasks.contract import Task
from millis.training.fit import Fit
from millis.training.optim import AdamW

INPUTS = ("data", "task", "model")  # what a config has outside of `teacher`


@dataclass(frozen=True)
class FineTuning:
    """A teacher as it is asked for.

    Args:
        data: A source (`millis.data`): called with what the task reads, it gives the data set.
        task: As configured, before it has seen data.
        model: A source (`millis.models.load`): called with outputs, texts and labels, it gives model and tokenizer.
        objective: What it learns; no teacher is heard.
        pretraining: What the encoder reads first, without labels (`millis.training.masked_tokens`); None: nothing.
        adapter: Of `millis.training.adapters`; None trains every weight.
        search: Over ways to fine-tune (`millis.pipeline.teacher_search`); None takes this one.
        seed: Of fresh weights and of the order of rows.

    Raises:
        MillisError: an objective that hears a teacher, or a search where nothing is trained.
    """

    data: Any
    task: Task
    model: Any
    objective: Any
    optimizer: AdamW
    trainer: Fit
    pretraining: Any = None
    adapter: Any = None
    search: Any = None
    seed: int = 0

    def __post_init__(self) -> None:
        if self.objective.needs_logits:
            raise MillisError(f"teacher.objective.alpha={self.objective.alpha}: a teacher has no teacher, expected 0")
        if self.search is not None and not self.trainer.trains:
            raise MillisError(
                "teacher=searched fine-tunes, and teacher.trainer.max_epochs=0 does not: choose one of them"
            )

    def at_rate(self, lr: float, **settings: Any) -> Self:
        """The same at another learning rate, and with other settings of the optimizer."""
        return replace(self, optimizer=replace(self.optimizer, lr=lr, **settings))

    @property
    def training(self) -> dict[str, Any]:
        """How it is trained, JSON-able."""
        return {one.name: described(getattr(self, one.name)) for one in fields(self) if one.name not in INPUTS}

    @property
    def described(self) -> dict[str, Any]:
        """What it is made of, JSON-able, laid out as a config is."""
        return {**{name: described(getattr(self, name)) for name in INPUTS}, "teacher": self.training}
