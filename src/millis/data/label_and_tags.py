"""A label for each text and a tag for each of its words: both of `one_label` and `tags`, read from the same rows."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, cast

import numpy as np
from numpy.typing import NDArray

from millis.data.dataset import Split
from millis.data.mapped import DROP
from millis.data.one_label import LABEL, ONE_LABEL, indexed, labelled
from millis.data.references import Read, Source, TextsAlone
from millis.data.tags import TAG, Tags, words_of
from millis.errors import MillisError
from millis.types import Text


@dataclass(frozen=True)
class LabelAndTags(TextsAlone):
    """References are (index of the label, indices of the words' tags).

    Args:
        tags: How tags are read.
    """

    tags: Tags
    reads_offsets: ClassVar[bool] = True

    def read(self, source: Source) -> Read:
        """Names and indices; see `millis.data.references.References`.

        Raises:
            MillisError: as for labels and as for tags alone.
        """
        tagged = self.tags.rows(source)
        rows, labels = labelled(source, words_of)
        for split, found in rows.items():
            untagged = [row for row, tags in enumerate(tagged[split].tags) if tags is None]
            withheld = split != "train" and len(untagged) == len(found)
            if untagged and source.unseen != DROP and not withheld:
                raise MillisError(
                    f"{tagged[split].places[untagged[0]]}: column {self.tags.column!r} is empty; {len(untagged)} such "
                    "rows. Tag them, or leave them out with data.unseen_labels=drop"
                )
            for row in untagged:
                found.labels[row] = None  # a row without tags counts as one without a label
            found.texts = cast(Any, list(zip(found.texts, tagged[split].tags, strict=True)))
        known = self.tags.names(tagged, source.notes)
        index = {tag: position for position, tag in enumerate(known)}
        splits = indexed(rows, labels, source)
        return Read({LABEL: labels.names, TAG: known}, {split: _apart(one, index) for split, one in splits.items()})

    def stratum(self, reference: tuple[int, tuple[int, ...]]) -> int:
        """The label."""
        return reference[0]

    def group(self, reference: tuple[int, tuple[int, ...]]) -> None:
        """None: each row stands for itself."""

    def targets(
        self, texts: Sequence[Text], references: Sequence[tuple[int, tuple[int, ...]]], encodings: Sequence[Any]
    ) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """Labels [N], and tags at the first token of each word, [tokens]."""
        labels, tags = [label for label, _ in references], [tags for _, tags in references]
        return *ONE_LABEL.targets(texts, labels, encodings), *self.tags.targets(texts, tags, encodings)

    def unanswered(self, text: Text) -> tuple[int, tuple[int, ...]]:
        """The first label and, for each word, the first tag."""
        return ONE_LABEL.unanswered(text), self.tags.unanswered(text)

    def answered(
        self, text: Text, categories: tuple[int, tuple[int, ...]], encoding: Any
    ) -> tuple[int, tuple[int, ...]]:
        """The likeliest of both."""
        label, tags = categories
        return ONE_LABEL.answered(text, label, encoding), self.tags.answered(text, tags, encoding)


def _apart(split: Split, index: dict[str, int]) -> Split:
    """A split of (text, tags) and labels as one of texts and (label, indices of tags)."""
    pairs = cast(list[tuple[str, list[str]]], split.texts)
    tags = [tuple(index[tag] for tag in names) for _, names in pairs]
    return Split([text for text, _ in pairs], list(zip(split.references, tags, strict=True)))
