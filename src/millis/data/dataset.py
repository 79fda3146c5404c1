"""Dataset: labelled texts in three splits, checked once so that nothing later has to wonder.

A source (one file each: `bundled`, `local`, `hub`) reads rows and calls `dataset_from_rows`, which maps labels to
indices and refuses what cannot be trained on. What was left out or changed on the way is said in `notes`.
"""

import random
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from millis.errors import MillisError, nearest
from millis.store import fingerprint
from millis.types import Text

Row = Mapping[str, Any]

HOLDOUT = 0.1  # of the training rows, where no validation split is given: 1 in 10 leaves training nearly whole
UNSEEN = -1  # index of a label that training does not know, until its row is dropped
TEXT_COLUMNS = (("text",), ("text_a", "text_b"), ("sentence",), ("sentence1", "sentence2"), ("question", "sentence"))


@dataclass(frozen=True)
class Split:
    """Texts and the index of each one's label, [N]."""

    texts: list[Text]
    labels: list[int]

    def __len__(self) -> int:
        return len(self.texts)


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
    def fingerprint(self) -> str:
        """Of every text and label: equal data gives equal outputs wherever the files lie."""
        splits = [(split.texts, split.labels) for split in (self.train, self.validation, self.test)]
        return fingerprint(self.labels, splits)


@dataclass(frozen=True)
class Columns:
    """Which columns hold what; None is found by its usual name.

    Args:
        text: The text, or the first of a pair.
        text_pair: The second text of a pair.
        label: An index into the label names, or a name.
    """

    text: str | None = None
    text_pair: str | None = None
    label: str = "label"

    def resolve(self, row: Row, where: str) -> tuple[tuple[str, ...], str]:
        """The text columns (one or two) and the label column of `row`.

        Raises:
            MillisError: a column is not there; names those that are.
        """
        if self.text is None:
            found = [names for names in TEXT_COLUMNS if all(name in row for name in names)]
            if not found:
                raise MillisError(
                    f"{where} has no text column: found {', '.join(row)}. Name it with data.text=... "
                    "(and data.text_pair=... for pairs)"
                )
            names = max(found, key=len)
        else:
            names = (self.text,) if self.text_pair is None else (self.text, self.text_pair)
        for name in (*names, self.label):
            if name not in row:
                raise MillisError(
                    f"{where} has no column {name!r}: found {', '.join(row)}{nearest(name, row)}. "
                    "Name columns with data.text=, data.text_pair=, data.label="
                )
        return names, self.label


def dataset_from_rows(
    name: str,
    rows: Mapping[str, Sequence[Row]],
    columns: Columns,
    label_names: Sequence[str] | None,
    *,
    unseen_labels: str = "error",
    limit: int | None = None,
    seed: int = 0,
    notes: Sequence[str] = (),
) -> Dataset:
    """Check rows and make a `Dataset`.

    A missing `validation` split is cut from `train` (one row in ten, stratified by label). A missing `test` split is
    replaced by `validation`, whose place is then cut from `train`, so that no text both steers and judges.

    Args:
        rows: Rows of the splits `train`, and where they exist `validation` and `test`.
        label_names: Names by index where labels are integers; None takes the sorted names that occur in `train`.
        unseen_labels: `error`, or `drop` the validation and test rows whose label never occurs in training.
        limit: At most this many rows a split, drawn with `seed`.

    Raises:
        MillisError: an empty split, a missing column, a label out of range or unseen in training, a text that is none.
    """
    notes = list(notes)
    if unseen_labels not in ("error", "drop"):
        raise MillisError(f"data.unseen_labels={unseen_labels!r}: expected error or drop")
    if limit is not None and limit < 1:
        raise MillisError(f"data.limit={limit}: expected at least 1 row a split, or null for all")
    for split in ("train", *rows):
        if not rows.get(split):
            raise MillisError(f"{name}: the {split} split is empty; it needs at least one row")
    names, label_column = columns.resolve(rows["train"][0], f"{name}, split train")
    index = _label_index(rows["train"], label_column, label_names)
    splits = {
        split: _split(name, split, found, (names, label_column), index, unseen_labels == "drop" and split != "train")
        for split, found in rows.items()
    }
    trained = set(splits["train"].labels)
    for split in [split for split in splits if split != "train"]:
        splits[split] = _seen(name, split, splits[split], trained, list(index), unseen_labels, notes)
    if limit is not None:
        splits = {split: _sample(found, limit, seed) for split, found in splits.items()}
    if "test" not in splits:
        if "validation" not in splits:
            splits["train"], splits["test"] = _holdout(name, splits["train"], seed + 1)
            notes.append("no test split: 10 % of train was set aside as the test split")
        else:
            splits["test"] = splits.pop("validation")
            notes.append("no test split: validation is the test split")
    if "validation" not in splits:
        splits["train"], splits["validation"] = _holdout(name, splits["train"], seed)
        notes.append("no validation split: 10 % of train was set aside")
    empty = sum(not _words(text) for split in splits.values() for text in split.texts)
    if empty:
        notes.append(f"{empty} empty texts kept")
    return Dataset(name, tuple(index), splits["train"], splits["validation"], splits["test"], notes)


def _label_index(train: Sequence[Row], column: str, names: Sequence[str] | None) -> dict[str, int]:
    """Label name → index."""
    if names is None:
        values = {value for row in train if (value := row.get(column)) is not None}  # `_split` names rows without one
        whole = values and all(isinstance(value, int) and not isinstance(value, bool) for value in values)
        names = list(map(str, range(max(values) + 1))) if whole else sorted({str(value).strip() for value in values})
    duplicates = [label for label, count in Counter(names).items() if count > 1]
    if duplicates:
        raise MillisError(f"label names occur twice: {', '.join(duplicates)}. Every name needs its own index")
    if len(names) < 2:
        raise MillisError(f"classification needs at least 2 labels, found {list(names)}")
    return {label: i for i, label in enumerate(names)}


def _split(
    name: str,
    split: str,
    rows: Sequence[Row],
    columns: tuple[tuple[str, ...], str],
    index: Mapping[str, int],
    may_be_unseen: bool,
) -> Split:
    text_columns, label_column = columns
    texts: list[Text] = []
    labels: list[int] = []
    for number, row in enumerate(rows, start=1):
        where = f"{name}, split {split}, row {number}"
        for column in (*text_columns, label_column):
            if row.get(column) is None:
                raise MillisError(f"{where}: column {column!r} is missing or null; expected a value")
        parts = tuple(str(row[column]) for column in text_columns)
        texts.append(parts[0] if len(parts) == 1 else (parts[0], parts[1]))
        labels.append(_label(row[label_column], index, where, may_be_unseen))
    return Split(texts, labels)


def _label(value: Any, index: Mapping[str, int], where: str, may_be_unseen: bool) -> int:
    text = str(value).strip()
    if text in index:
        return index[text]
    if text.removeprefix("-").isdecimal():
        if 0 <= int(text) < len(index):
            return int(text)
        raise MillisError(
            f"{where}: label {text} is out of range; expected 0 to {len(index) - 1} ({len(index)} labels)"
        )
    if may_be_unseen:
        return UNSEEN
    raise MillisError(
        f"{where}: label {text!r} is none of the {len(index)} labels{nearest(text, index)}. "
        "Mend the row, add training rows, or leave such rows out with data.unseen_labels=drop"
    )


def _seen(
    name: str, split: str, found: Split, trained: set[int], labels: list[str], unseen: str, notes: list[str]
) -> Split:
    """`found` without rows whose label no training row has, or an error that names the first."""
    missing = [i for i, label in enumerate(found.labels) if label not in trained]
    if not missing:
        return found
    if unseen == "error":
        label = labels[found.labels[missing[0]]]
        raise MillisError(
            f"{name}, split {split}: label {label!r} (row {missing[0] + 1}) does not occur in training; "
            f"{len(missing)} such rows. Add training rows, or leave these out with data.unseen_labels=drop"
        )
    if len(missing) == len(found):
        raise MillisError(
            f"{name}, split {split}: none of its labels occurs in training; data.unseen_labels=drop left no row"
        )
    notes.append(f"{len(missing)} rows of {split} left out: their labels do not occur in training")
    return _take(found, sorted(set(range(len(found))) - set(missing)))


def _take(split: Split, rows: Sequence[int]) -> Split:
    return Split([split.texts[i] for i in rows], [split.labels[i] for i in rows])


def _sample(split: Split, limit: int, seed: int) -> Split:
    if len(split) <= limit:
        return split
    return _take(split, sorted(random.Random(seed).sample(range(len(split)), limit)))


def _holdout(name: str, split: Split, seed: int) -> tuple[Split, Split]:
    """(kept, held out): of every label one row in ten, at least one where the label has two rows or more."""
    by_label: dict[int, list[int]] = {}
    for i, label in enumerate(split.labels):
        by_label.setdefault(label, []).append(i)
    generator = random.Random(seed)
    held: list[int] = []
    for rows in by_label.values():
        count = max(round(len(rows) * HOLDOUT), int(len(rows) > 1))
        held += generator.sample(rows, count)
    if not held:
        raise MillisError(
            f"{name}: no split can be cut from train, for each label has one row there. Add rows, or files for "
            "validation and test"
        )
    kept = sorted(set(range(len(split))) - set(held))
    return _take(split, kept), _take(split, sorted(held))


def _words(text: Text) -> bool:
    return any(part.strip() for part in ((text,) if isinstance(text, str) else text))
