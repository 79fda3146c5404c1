"""Language models: a text in, how likely it is out; asked to write, what comes after it.

Texts are judged a passage at a time, each by itself: the probability of every token given those before it in the
passage. A tokenizer that puts a token before texts lets the first one be predicted too.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import exp
from pathlib import Path
from typing import Any, ClassVar, NamedTuple, TypedDict

import numpy as np

from millis.data.dataset import Dataset
from millis.data.passages import Passage, Passages, read_of
from millis.metrics import named
from millis.metrics._likelihood import LARGEST
from millis.metrics.contract import AnyMetric
from millis.tasks.contract import InManifest, InOnePass, check_length
from millis.types import Output, Outputs

NEAR = 0.01  # of the nats of a text


class Likelihood(NamedTuple):
    """An answer.

    Args:
        nats: Minus the natural logarithm of the text's probability.
        tokens: That were predicted.
        bytes: Of the text as far as it was read.
    """

    nats: float
    tokens: int
    bytes: int

    @property
    def text(self) -> str:
        """The perplexity."""
        return f"perplexity {exp(min(self.nats / max(1, self.tokens), LARGEST)):.4g} over {self.tokens} tokens"

    def value(self) -> tuple[float, int, int]:
        """What metrics sum up."""
        return self.nats, self.tokens, self.bytes


class Described(TypedDict):
    """What an artifact says of this task."""


def read(described: Mapping[str, Any]) -> "LanguageModel":
    """The task of an artifact."""
    return LanguageModel()


@dataclass(frozen=True)
class LanguageModel(InManifest, InOnePass):
    """What is predicted and how it is judged.

    Args:
        metric: The quality metric: models are selected, compared and reported by it. Models with tokenizers of their
            own are compared by `bits_per_byte`.
        also: Metrics reported beside it.
        passage: Most characters of a passage.
        max_length: Longest token sequence; longer passages are truncated and counted.

    Raises:
        MillisError: no room for a token, or hardly any for a passage.
    """

    metric: str = "perplexity"
    also: Sequence[str] = ("bits_per_byte",)
    passage: int = 600
    max_length: int = 256
    name: ClassVar[str] = "language_model"
    reads_offsets: ClassVar[bool] = True

    def __post_init__(self) -> None:
        check_length(self.max_length)
        object.__setattr__(self, "also", tuple(self.also))
        Passages(self.passage)

    @property
    def outputs(self) -> tuple[Output, ...]:
        """At each token, a logit for every token that may come next."""
        return (Output("next", "token", 0, "next"),)

    @property
    def summary(self) -> str:
        """`the next token`."""
        return "the next token"

    @property
    def references(self) -> Passages:
        """Passages, which are their own references."""
        return Passages(self.passage)

    def learned(self, dataset: Dataset, cache: Path | None = None) -> "LanguageModel":
        """Itself: data tell nothing that the model's tokenizer does not.

        Raises:
            MillisError: a metric does not exist or judges something else.
        """
        self.metrics()
        return self

    def described(self) -> dict[str, Any]:
        """Its name; all else lies in the model."""
        return {"name": self.name}

    @property
    def identity(self) -> dict[str, Any]:
        """All of it."""
        return self.described()

    def answer(self, outputs: Outputs, encoding: Any) -> Likelihood:
        """The likelihood of a text but for the special tokens after it, and for a first token that none is before."""
        tokens, text = encoding.encoding, encoding.text
        ids = np.asarray(read_of(tokens), np.int64)  # of a text without any too
        places, special = tokens.offsets, tokens.special_tokens_mask
        start = (
            places[0][1] if len(ids) and not special[0] else 0
        )  # nothing says what comes first but a token before it
        end = places[len(ids) - 1][1] if len(ids) else 0
        logits = outputs[0][0][: max(0, len(ids) - 1)].astype(np.float64)
        logits -= logits.max(axis=1, keepdims=True, initial=-np.inf)
        chosen = logits[np.arange(len(logits)), ids[1:]]
        nats = np.log(np.exp(logits).sum(axis=1)) - chosen
        return Likelihood(float(nats.sum()), len(nats), len(text[start:end].encode()))

    def prompt(self, text: str) -> str:
        """The first half of a passage, up to a blank where one is near."""
        half = len(text) // 2
        return text[: max(1, next((place for place in range(half, half // 2, -1) if text[place].isspace()), half))]

    def framed(self, text: str) -> str:
        """As it is."""
        return text

    def items(
        self, answers: Sequence[Any], right: Sequence[Any], references: Sequence[Passage]
    ) -> tuple[Sequence[Any], Sequence[Any]]:
        """A passage each. What a model says while it trains has no bytes: they are its passage's."""
        whole = [
            (*answer, reference.bytes) if len(answer) == 2 else answer
            for answer, reference in zip(answers, references, strict=True)
        ]
        return whole, [tuple(map(int, reference)) for reference in references]

    def same(self, ours: Sequence[Any], theirs: Sequence[Any]) -> list[bool]:
        """Those that one model finds as likely as the other, to a hundredth of the nats."""
        return [abs(one[0] - other[0]) <= NEAR * abs(other[0]) for one, other in zip(ours, theirs, strict=True)]

    def metrics(self) -> dict[str, AnyMetric]:
        """Every metric of the task, by name.

        Raises:
            MillisError: one that does not exist or judges something else.
        """
        return {name: named(name, (), "likelihood") for name in (self.metric, *self.also)}
