"""Dataset: labelled texts in three splits, checked once so that nothing later has to wonder.

A source (one file each: `bundled`, `local`, `hub`) finds tables and calls `millis.data.assemble.dataset_from_tables`,
which maps labels to indices and refuses what cannot be trained on. What was left out or changed on the way is said in
`notes`.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field

from millis.store import fingerprint
from millis.types import Text


@dataclass(frozen=True)
class Split:
    """Texts and the index of each one's label, [N]."""

    texts: list[Text]
    labels: list[int]

    def __len__(self) -> int:
        return len(self.texts)

    def take(self, rows: Sequence[int]) -> "Split":
        """The split of `rows` alone, in their order."""
        return Split([self.texts[i] for i in rows], [self.labels[i] for i in rows])


@dataclass(frozen=True)
class Dataset:
    """Three splits under one label map; `labels[i]` is the name of index i."""

    name: str
    labels: tuple[str, ...]
    train: Split
    validation: Split
    test: Split
    notes: list[str] = field(default_factory=list)

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
        """Of every text and label: equal data gives equal outputs wherever the files lie."""
        splits = [(split.texts, split.labels) for split in (self.train, self.validation, self.test)]
        return fingerprint(self.labels, splits)
