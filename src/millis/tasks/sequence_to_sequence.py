"""A text in, a text out: translations, summaries, replies.

A model reads a text and goes on with what is to be written, as language models do; what it learns is that part alone.
Its tokenizer says what stands before, between and after the two.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar, TypedDict

import numpy as np

from millis.data.dataset import Dataset
from millis.data.written import Written
from millis.errors import MillisError
from millis.metrics import named
from millis.metrics.contract import AnyMetric
from millis.metrics.perplexity import Perplexity
from millis.models.outputs import REPLY
from millis.tasks.contract import EachText, check_length
from millis.types import Output, Outputs


class Described(TypedDict):
    """What an artifact says of this task."""

    instruction: str


def read(described: Mapping[str, Any]) -> "SequenceToSequence":
    """The task of an artifact."""
    return SequenceToSequence(instruction=described["instruction"])


@dataclass(frozen=True)
class SequenceToSequence(EachText):
    """What is predicted and how it is judged.

    Args:
        target: Column of the texts to write; None is `data.label`.
        instruction: What is put before every text, such as "Summarise in one sentence: ", for a model that was trained
            to follow instructions.
        several: Column with a list of all that are right, for validation and test; None where one is.
        metric: The quality metric of what is written: models are compared and reported by it. While one trains, the
            perplexity of the right texts selects epochs.
        also: Metrics reported beside it.
        max_length: Longest token sequence, of both texts together.

    Raises:
        MillisError: no room for a token.
    """

    target: str | None = None
    several: str | None = None
    instruction: str = ""
    metric: str = "chrf"
    also: Sequence[str] = ("bleu",)
    max_length: int = 256
    name: ClassVar[str] = "sequence_to_sequence"
    reads_offsets: ClassVar[bool] = True
    judged_as_written: ClassVar[bool] = True

    def __post_init__(self) -> None:
        check_length(self.max_length)
        object.__setattr__(self, "also", tuple(self.also))

    @property
    def outputs(self) -> tuple[Output, ...]:
        """At each token, a logit for every token that may come next."""
        return (Output(REPLY, "token", 0, "next"),)

    @property
    def summary(self) -> str:
        """`a text`."""
        return "a text"

    @property
    def references(self) -> Written:
        """The texts to write."""
        return Written(self.target, self.several, self.instruction)

    def learned(self, dataset: Dataset, cache: Path | None = None) -> "SequenceToSequence":
        """Itself: data tell nothing that the model's tokenizer does not.

        Raises:
            MillisError: a metric does not exist or judges something else.
        """
        self.metrics()
        return self

    def described(self) -> dict[str, Any]:
        """What is put before texts; all else lies in the model."""
        return {"name": self.name, "instruction": self.instruction}

    @property
    def identity(self) -> dict[str, Any]:
        """Texts are texts, however a model is asked for them."""
        return {"name": self.name}

    def prompt(self, text: Any) -> Any:
        """The text."""
        return text

    def framed(self, text: str) -> str:
        """Behind the instruction."""
        return self.instruction + text

    def answer(self, outputs: Outputs, encoding: Any) -> Any:
        """Nothing that one pass over a text could tell.

        Raises:
            MillisError: always.
        """
        raise MillisError("this task's answers are written: load the artifact on a backend that writes")

    def while_training(self, answers: Sequence[Any]) -> float:
        """Minus the perplexity of the right texts.

        Args:
            answers: (nats, tokens) of each, [N].
        """
        nats, tokens = np.asarray(answers, np.float64).sum(axis=0)
        return -float(Perplexity().value(np.array([nats, tokens, 0.0])))

    def metrics(self) -> dict[str, AnyMetric]:
        """Every metric of the task, by name.

        Raises:
            MillisError: one that does not exist or judges something else.
        """
        return {name: named(name, (), "written") for name in (self.metric, *self.also)}
