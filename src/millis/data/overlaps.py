"""Overlaps: texts that stand in two splits, or with two labels. Scores on them are of memory, or cannot be right."""

from collections.abc import Callable, Hashable
from typing import Any

from millis.data.dataset import Split
from millis.types import Text


def overlap_notes(
    train: Split, validation: Split, test: Split, cut: bool, group: Callable[[Any], Hashable]
) -> list[str]:
    """A note for each overlap between splits, and one for texts with two answers.

    Texts that differ in case or blanks are the same; those without words do not count.

    Args:
        cut: Whether `validation` was cut from train, and so still is training data to `test`.
        group: Of a reference: what is right for a text in one group may be wrong in another.
    """
    trained, tuned = ({words_of(text) for text in split.texts} for split in (train, validation))
    pairs = [(validation, "validation", trained, "train"), (test, "test", trained | tuned if cut else trained, "train")]
    if not cut:
        pairs.append((test, "test", tuned, "validation"))
    notes = []
    for split, name, others, other in pairs:
        if found := sum(bool(words := words_of(text)) and words in others for text in split.texts):
            notes.append(f"{found} of {len(split)} {name} texts also occur in {other}")
    right: dict[tuple[Text, Hashable], Any] = {}
    torn = {
        words
        for split in (train, validation, test)
        for text, reference in zip(split.texts, split.references, strict=True)
        if (words := words_of(text)) and right.setdefault((words, group(reference)), reference) != reference
    }
    if torn:
        notes.append(f"texts that occur with two answers or more: {len(torn)}")
    return notes


def has_words(text: Text) -> bool:
    """Whether there is anything but blanks in it."""
    return bool(words_of(text))


def words_of(text: Text) -> Text:
    """The text in one case, with one blank between words; empty where it has none."""
    if isinstance(text, str):
        return " ".join(text.casefold().split())
    first, second = (" ".join(part.casefold().split()) for part in text)
    return (first, second) if first or second else ""
