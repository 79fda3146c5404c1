"""Rows to a split: every label gets its index; rows without one are refused, or left out and counted."""

from millis.data.dataset import Split
from millis.data.labels import Labels
from millis.data.references import Unseen
from millis.data.rows import Rows
from millis.data.suspicions import hint
from millis.errors import MillisError

DROP: Unseen = "drop"
KEEP: Unseen = "keep"
REMEDY = "leave them out with data.unseen_labels=drop"


def mapped(
    rows: Rows, split: str, column: str, labels: Labels, trained: set[int] | None, unseen: Unseen, notes: list[str]
) -> Split:
    """Rows with the index of each one's label.

    Args:
        split, column: What notes and errors call them.
        trained: Indices that training rows have; None where `rows` are the training rows.
        unseen: What becomes of rows without a label, and of those whose label no training row has.
        notes: What was left out is added here.

    Raises:
        MillisError: a label is missing, unknown or unseen, and not to be dropped; names the first row.
    """
    index = {label: labels.find(label) for label in set(rows.labels) if label and not labels.withholds(label)}
    known = {
        label: i for label, i in index.items() if i is not None and (trained is None or i in trained or unseen == KEEP)
    }
    empty = [i for i, label in enumerate(rows.labels) if label not in index]
    strange = [i for i, label in enumerate(rows.labels) if label in index and label not in known]
    if empty and unseen != DROP:
        raise MillisError(
            f"{rows.where(empty[0])}: column {column!r} is empty (or null, NaN, or -1 where that is no class); "
            f"{_count(empty)}. Label them, or {REMEDY}"
        )
    if strange and (trained is None or unseen != DROP):
        raise MillisError(
            f"{rows.where(strange[0])}: {_fault(rows.labels[strange[0]] or '', labels, trained, strange)}"
        )
    kept = [known[label] for label in rows.labels if label in known]
    if not kept:
        raise MillisError(
            f"{rows.where(0)}: none of the labels of {split} occurs in training; data.unseen_labels=drop left no row"
        )
    for gone, why in ((empty, "they have no label"), (strange, "their labels do not occur in training")):
        if gone:
            notes.append(f"{len(gone)} rows of {split} left out: {why}")
    if unseen == KEEP and trained is not None and (new := sum(index not in trained for index in kept)):
        notes.append(f"{new} rows of {split} have labels that do not occur in training: they count as mistakes")
    return Split([text for text, label in zip(rows.texts, rows.labels, strict=True) if label in known], kept)


def _fault(label: str, labels: Labels, trained: set[int] | None, unseen: list[int]) -> str:
    """What is wrong with `label`, of the rows `unseen`."""
    i = labels.find(label)
    names: tuple[str, ...]
    if i is None and label in labels.index:
        what = f"label {label!r} is a name of {labels.origin}, where other rows hold the indices of names"
        names = ()
    elif i is None and labels.origin is not None:
        numbers = f", nor a number from 0 to {len(labels.names) - 1}" if labels.by_number else ""
        what = f"label {label!r} is none of the {len(labels.names)} names of {labels.origin}{numbers}"
        names = labels.names
    else:
        what = f"label {label if i is None else labels.names[i]!r} does not occur in training"
        names = tuple(labels.names[known] for known in trained or ())
    remedy = f"add training rows, or {REMEDY}" if trained is not None else "or their list"
    return f"{what}; {_count(unseen)}{hint(label, names)}. Mend the rows, {remedy}"


def _count(rows: list[int]) -> str:
    return f"{len(rows)} such row{'s' if len(rows) > 1 else ''}"
