"""Several factorizations, one after another: what the first leaves whole the next may take."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from tokenizers import Tokenizer

from millis.errors import MillisError
from millis.factorization.contract import Batches, Factorization, Speedup
from millis.models.spec import Spec
from millis.traits import Traits
from millis.types import Text


@dataclass(frozen=True)
class Steps:
    """Applies each of `steps` to what the one before it made.

    Args:
        steps: First to last. A smaller vocabulary goes first: a table is factorized faster without its unread rows.

    Raises:
        MillisError: no steps.
    """

    steps: Sequence[Factorization]

    def __post_init__(self) -> None:
        if not self.steps:
            raise MillisError("factorization.steps is empty: give some, or choose factorization=none")

    @property
    def traits(self) -> Traits:
        """Those of all steps."""
        return tuple(dict.fromkeys(trait for step in self.steps for trait in step.traits))

    @property
    def timed(self) -> bool:
        """Where one of the steps is."""
        return any(step.timed for step in self.steps)

    def settled(self, spec: Spec, speedup: Speedup) -> "Steps":
        """Each step, as if it were the only one: rows of a table that are read are read as fast without the others."""
        return Steps([step.settled(spec, speedup) for step in self.steps]) if self.timed else self

    def spec(self, spec: Spec, tokenizer: Tokenizer, texts: Sequence[Text]) -> tuple[Spec | None, Tokenizer]:
        """As the steps say; None as soon as one of them cannot know."""
        known: Spec | None = spec
        for step in self.steps:
            found, tokenizer = step.spec(spec, tokenizer, texts)
            known, spec = (None, spec) if known is None or found is None else (found, found)
        return known, tokenizer

    def apply(self, model: Any, tokenizer: Tokenizer, texts: Sequence[Text], batches: Batches) -> tuple[Any, Tokenizer]:
        """The last step's model and tokenizer."""
        for step in self.steps:
            model, tokenizer = step.apply(model, tokenizer, texts, batches)
        return model, tokenizer

    def describe(self) -> str:
        """`vocabulary, svd 0.5`."""
        return ", ".join(step.describe() for step in self.steps)
