"""Intent and slots: one text in; a label for it and a tag for each of its words out, of one encoder.

Goo et al. 2018 (N18-2118) judge it by intent accuracy, slot F1 and sentences without a mistake; Chen et al. 2019
(1902.10909) fine-tune BERT for it with the sum of both losses.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import Annotated, Any, ClassVar, NamedTuple, TypedDict

from msgspec import Meta

from millis.data.dataset import Dataset
from millis.data.label_and_tags import LabelAndTags
from millis.data.tags import TAG, Tags
from millis.errors import MillisError
from millis.metrics import named
from millis.metrics.contract import AnyMetric
from millis.tasks.classification import Classification, Label
from millis.tasks.contract import LEARNED, EachText
from millis.tasks.tagging import Found, Tagged, Tagging
from millis.types import Output, Outputs

OVER_LABELS = ("intent_accuracy",)  # metrics of which labels are the names, not tags


class Understood(NamedTuple):
    """An answer: the intent, and the words' tags."""

    intent: Label
    slots: Tagged

    @property
    def text(self) -> str:
        """`book_flight (0.98)  [city New York]`."""
        return f"{self.intent.text}  {self.slots.text}"

    @property
    def spans(self) -> tuple[Found, ...]:
        """The slots' spans."""
        return self.slots.spans

    def value(self) -> tuple[int, tuple[int, ...]]:
        """The label's index, and that of each word's tag."""
        return self.intent.value(), self.slots.value()


class Described(TypedDict):
    """What an artifact says of this task."""

    labels: Annotated[list[str], Meta(min_length=1)]
    tags: Annotated[list[str], Meta(min_length=1)]


def read(described: Mapping[str, Any]) -> "IntentSlots":
    """The task of an artifact.

    Raises:
        MillisError: a label or a tag that stands twice.
    """
    return IntentSlots(labels=tuple(described["labels"]), tags=tuple(described["tags"]))


@dataclass(frozen=True)
class IntentSlots(EachText):
    """What is predicted and how it is judged.

    Args:
        column: Of the data: the words' tags, as for tagging.
        slot_weight: Of the tags' loss beside the label's.
        metric: The quality metric: models are selected, compared and reported by it.
        also: Metrics reported beside it.
        max_length: Longest token sequence, as for tagging.
        labels, tags: Their names, by index. None before the data is read.

    Raises:
        MillisError: a weight that is not above 0, no room for a token, or a name that stands twice.
    """

    column: str = "slots"
    slot_weight: float = 1.0
    metric: str = "exact_match"
    also: Sequence[str] = ("intent_accuracy", "slot_f1")
    max_length: int = 128
    labels: tuple[str, ...] = field(default=(), metadata=LEARNED)
    tags: tuple[str, ...] = field(default=(), metadata=LEARNED)
    name: ClassVar[str] = "intent_slots"
    reads_offsets: ClassVar[bool] = True

    def __post_init__(self) -> None:
        if not self.slot_weight > 0:
            raise MillisError(f"task.slot_weight={self.slot_weight}: expected above 0; 1 counts both losses alike")
        object.__setattr__(self, "also", tuple(self.also))
        _ = self._intent, self._slots  # refuse what they refuse

    @property
    def outputs(self) -> tuple[Output, ...]:
        """A logit for each label, and one for each tag at each token."""
        (intent,), (slots,) = self._intent.outputs, self._slots.outputs
        return intent._replace(name="intent"), slots._replace(weight=self.slot_weight)

    @property
    def summary(self) -> str:
        """How many labels and tags, and the first of them."""
        return f"{self._intent.summary} and {self._slots.summary}"

    @property
    def references(self) -> LabelAndTags:
        """The index of the label, and that of each word's tag."""
        return LabelAndTags(Tags(self.column))

    def learned(self, dataset: Dataset, cache: Path | None = None) -> "IntentSlots":
        """Over the labels and tags of `dataset`.

        Raises:
            MillisError: a metric does not exist or cannot work with these.
        """
        found = replace(self, labels=dataset.labels, tags=dataset.names[TAG])
        found.metrics()
        return found

    def described(self) -> dict[str, Any]:
        """Labels and tags."""
        return {"name": self.name, "labels": list(self.labels), "tags": list(self.tags)}

    @property
    def identity(self) -> dict[str, Any]:
        """All of it."""
        return self.described()

    def answer(self, outputs: Outputs, encoding: Any) -> Understood:
        """The answers of both."""
        return Understood(self._intent.answer(outputs[:1], encoding), self._slots.answer(outputs[1:], encoding))

    def metrics(self) -> dict[str, AnyMetric]:
        """Every metric of the task, by name.

        Raises:
            MillisError: one that does not exist or cannot work with these labels and tags.
        """
        names = (self.metric, *self.also)
        return {
            name: named(name, self.labels if name in OVER_LABELS else self.tags, "label and tags") for name in names
        }

    @cached_property
    def _intent(self) -> Classification:
        return Classification(max_length=self.max_length, labels=self.labels)

    @cached_property
    def _slots(self) -> Tagging:
        return Tagging(self.column, max_length=self.max_length, tags=self.tags)
