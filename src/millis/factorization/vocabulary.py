"""A task's own vocabulary: the word table is half of a small encoder, and a task reads a tenth of its rows.

Bytes, memory and cold start shrink. A look-up costs the same in any table, but words that come apart make texts longer:
7 % more tokens in the bundled test texts where nothing but the training texts' pieces is kept. The student's token ids
are no longer its teacher's: the teacher's outputs are to be cached, or asked for under its own ids
(`millis.models.vocabulary.kept_ids`).
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

from tokenizers import Tokenizer

from millis.errors import MillisError
from millis.factorization.contract import Batches, Speedup
from millis.models.outputs import require
from millis.models.spec import Spec
from millis.models.vocabulary import kept_ids, trim, trim_model, trimmed_spec
from millis.traits import RESHAPES, Traits
from millis.types import Output, Text


@dataclass(frozen=True)
class Vocabulary:
    """Keeps the pieces that occur in the training texts, special tokens and characters; for students of every family.

    Args:
        min_count: Least number of occurrences of a piece that is kept.
        common: Share of the vocabulary kept beside them for being common in general: for words that users write and the
            training texts lack, which otherwise come apart into pieces whose meaning nothing has taught.

    MiniLM on the bundled corpus, with a linear head fitted to the frozen, untrimmed encoder on 1,500 training texts
    (accuracy on the 831 validation texts; the standard error of each is 1.4):

        common    pieces    fp32 MB    texts read as before    accuracy
        whole     30,522    90.3       100 %                   79.4
        0.8       25,492    82.6        97 %                   79.3
        0.4       13,847    64.7        84 %                   78.5
        0.2        8,288    56.2        63 %                   78.6
        0.1        5,866    52.4        49 %                   78.0
        0          4,371    50.1        40 %                   76.3

    Raises:
        MillisError: `min_count` below 1, or a share outside [0, 1).
    """

    min_count: int = 1
    common: float = 0.0
    traits: ClassVar[Traits] = (RESHAPES,)  # matrices stay whole

    def __post_init__(self) -> None:
        if self.min_count < 1:
            raise MillisError(f"factorization.min_count={self.min_count}: expected at least 1 occurrence")
        if not 0 <= self.common < 1:
            raise MillisError(
                f"factorization.common={self.common}: expected a share of the vocabulary, 0 up to 1 "
                "(factorization=none keeps all of it)"
            )

    @staticmethod
    def check_outputs(outputs: Sequence[Output]) -> None:
        """Refuse what has a logit for each token: the teacher's and the student's would be of other tokens.

        Raises:
            MillisError: as said.
        """
        require(outputs, ("text", "token"), "factorization=vocabulary", "Choose another, or factorization=none")

    @property
    def timed(self) -> bool:
        """Texts decide, not measurements."""
        return False

    def settled(self, spec: Spec, speedup: Speedup) -> "Vocabulary":
        """Nothing waits for a measurement."""
        return self

    def spec(self, spec: Spec, tokenizer: Tokenizer, texts: Sequence[Text]) -> tuple[Spec | None, Tokenizer]:
        """The spec with fewer rows, and the tokenizer that goes with it.

        Raises:
            MillisError: a tokenizer that is none of WordPiece, Unigram and BPE.
        """
        trimmed = trim(tokenizer, texts, self.min_count, self.common)
        return trimmed_spec(spec, kept_ids(tokenizer, trimmed)), trimmed

    def apply(self, model: Any, tokenizer: Tokenizer, texts: Sequence[Text], batches: Batches) -> tuple[Any, Tokenizer]:
        """The model with the kept rows, and the tokenizer that goes with it.

        Raises:
            MillisError: as `spec`.
        """
        trimmed = trim(tokenizer, texts, self.min_count, self.common)
        return trim_model(model, kept_ids(tokenizer, trimmed)), trimmed

    def describe(self) -> str:
        """`vocabulary 0.2`, `vocabulary 0 2+`."""
        return f"vocabulary {self.common:g}" + (f" {self.min_count}+" if self.min_count > 1 else "")
