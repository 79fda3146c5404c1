"""General distillation: a student learns the pre-trained model itself, on any texts, before it hears of a task.

As TinyBERT's first stage (Jiao et al. 2020, 1909.10351, section 3.3): what a cut of the pre-trained model has inside is
brought to what the whole one has there, with no label and no answer. What comes of it depends on no task, so every task
and every search over the same texts begins with it. TinyBERT compares hidden states and attention on Wikipedia; which
terms and which texts is the user's choice here.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path
from typing import Any, ClassVar, NamedTuple

from torch import Tensor, nn

from millis.data.dataset import Split
from millis.data.references import TextsAlone
from millis.data.unlabelled import distinct, state_of
from millis.distillation.contract import FeatureTerm
from millis.distillation.features import CACHE_BUDGET_MB, FeaturesOnly, check_budget, check_terms
from millis.errors import MillisError
from millis.store import fingerprint
from millis.training.fit import Fit
from millis.training.length import Length
from millis.training.optim import AdamW
from millis.traits import CUT, Reasons
from millis.types import Output, Text

KEY, COLUMNS = "general.texts", ("text",)


class Texts(NamedTuple):
    """What is learned on.

    Args:
        texts: Each once.
        without: What was left out, for readers; empty where nothing was.
        fingerprint: Of the texts.
    """

    texts: Sequence[Text]
    without: str
    fingerprint: str


@dataclass(frozen=True)
class General:
    """How a student is distilled before there is a task. Batch size, precision and devices are those of its training.

    Args:
        texts: A file or folder, of texts one a line (`.txt`) or in tables with the column `text`.
        terms, cache_budget_mb: As for `millis.distillation.features.FeatureDistillation`.
        lr: Peak rate of all weights.
        max_epochs: A `Length`, or a whole number.

    Raises:
        MillisError: no term with weight, a rate that is not above 0, no epoch, or a budget below nothing.
    """

    texts: str
    terms: Mapping[str, FeatureTerm]
    lr: float = 5e-4
    max_epochs: int | Length = 1
    cache_budget_mb: float = CACHE_BUDGET_MB

    needs: ClassVar[Reasons] = {
        CUT: "general=hidden trains layers that are cut out of the pre-trained model, before they are trained for a "
        "task: choose student=transformer, or general=none"
    }

    def __post_init__(self) -> None:
        check_terms(self.terms)
        check_budget(self.cache_budget_mb)
        if self.lr <= 0:
            raise MillisError(f"general.lr={self.lr}: expected above 0; 5e-4 is usual")
        if isinstance(self.max_epochs, int) and self.max_epochs < 1:
            raise MillisError(f"general.max_epochs={self.max_epochs}: expected at least 1; general=none leaves it out")

    def fit(self, trainer: Fit) -> Fit:
        """How it is trained, by how the student is: a budget of seconds is that of the task."""
        return replace(trainer, max_epochs=self.max_epochs, averaging=None, adversarial=None, budget_s=None)

    def read(self, judged: frozenset[Text]) -> Texts:
        """The texts.

        Args:
            judged: Words (`millis.data.overlaps.words_of`) of texts that must not be learned.

        Raises:
            MillisError: no such file, a column or a text is missing, or no text is left.
        """
        return _read(self.texts, self.check(), judged)

    def check(self) -> tuple[object, ...]:
        """What tells the files from what they held before.

        Raises:
            MillisError: there are none.
        """
        return state_of(Path(self.texts).expanduser(), KEY)

    @property
    def method(self) -> FeaturesOnly:
        """What is minimised."""
        return FeaturesOnly(self.terms, cache_budget_mb=self.cache_budget_mb)

    @property
    def optimizer(self) -> AdamW:
        """Of all weights, projections included."""
        return AdamW(self.lr, self.lr)


@lru_cache(maxsize=2)
def _read(texts: str, _: tuple[object, ...], judged: frozenset[Text]) -> Texts:
    found, without = distinct(Path(texts).expanduser(), COLUMNS, set(judged), set(), KEY)
    return Texts(found, without, fingerprint(found))


def none() -> None:
    """A student comes to its task as it is cut: what `conf/general/none.yaml` asks for."""


class Inside(nn.Module):
    """A transformer that says what it has inside, each token's last state, and answers nothing.

    Args:
        model: Of the family `transformer`.
    """

    def __init__(self, model: Any) -> None:
        super().__init__()
        self.encoder, self.spec = model.encoder, model.spec
        self._model = (model,)  # in a tuple: its head is trained by nobody

    def forward(self, **inputs: Tensor) -> Tensor:
        """States [B, S, D]; `inputs` are those of the model."""
        states: Tensor = self._model[0].states(**inputs)
        return states


@dataclass(frozen=True)
class Nothing(TextsAlone):
    """References of texts about which nothing is asked."""

    reads_offsets = False

    def targets(self, texts: Sequence[Text], references: Sequence[Any], encodings: Sequence[Any]) -> tuple[()]:
        """None."""
        return ()


@dataclass(frozen=True)
class Reading:
    """Texts alone, as `millis.data.encode.encode` asks for them."""

    references: Any = Nothing()  # of tables nothing is read
    outputs: tuple[Output, ...] = ()


def unasked(texts: Sequence[Text]) -> Split:
    """Texts without references."""
    return Split(list(texts), [None] * len(texts))
