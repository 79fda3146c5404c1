"""Dataset: labelled texts in three splits, checked once so that nothing later has to wonder.

A source (one file each: `bundled`, `local`, `hub`) finds tables and calls `millis.data.assemble.dataset_from_tables`,
which maps labels to indices and refuses what cannot be trained on. What was left out or changed on the way is said in
`notes`.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from millis.store import fingerprint
from millis.types import Text


@dataclass(frozen=True)
class Split:
    """Texts and what should be answered to each, [N]: of a label its index, else as the task reads it (hashable)."""

    texts: list[Text]
    references: list[Any]

    def __len__(self) -> int:
        return len(self.texts)

    def take(self, rows: Sequence[int]) -> "Split":
        """The split of `rows` alone, in their order."""
        return Split([self.texts[i] for i in rows], [self.references[i] for i in rows])


@dataclass(frozen=True)
class Dataset:
    """Three splits.

    Args:
        unlabelled: Texts that have no reference; the teacher answers them, and students learn from it.
        names: Of each kind of index in the references, what index 0, 1, ... stands for: `{"label": ("no", "yes")}`.
    """

    name: str
    names: Mapping[str, tuple[str, ...]]
    train: Split
    validation: Split
    test: Split
    notes: list[str] = field(default_factory=list)
    unlabelled: list[Text] = field(default_factory=list)

    @property
    def labels(self) -> tuple[str, ...]:
        """Names of the labels that texts have; none where they have no label."""
        return self.names.get("label", ())

    @property
    def pairs(self) -> bool:
        """Whether each text is a pair."""
        return isinstance(self.train.texts[0], tuple)

    @property
    def inputs(self) -> tuple[str, ...]:
        """Names of a model's inputs; token types only tell the two texts of a pair apart."""
        return ("input_ids", "attention_mask", "token_type_ids") if self.pairs else ("input_ids", "attention_mask")

    @property
    def fingerprint(self) -> str:
        """Of every text that has a reference, and the references: equal data gives equal outputs wherever files lie."""
        splits = [(split.texts, split.references) for split in (self.train, self.validation, self.test)]
        return fingerprint(dict(self.names), splits)
