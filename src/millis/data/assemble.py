"""Tables to a `Dataset`: one order of reading, cutting and checking for every source and every task."""

from collections.abc import Sequence
from pathlib import Path

from millis.data.classes import Tables
from millis.data.columns import Columns
from millis.data.cut import holdout, sample
from millis.data.dataset import Dataset, Split
from millis.data.one_label import ONE_LABEL
from millis.data.overlaps import has_words, overlap_notes
from millis.data.references import UNSEEN, References, Source, Unseen
from millis.data.unlabelled import unlabelled as read_unlabelled
from millis.errors import MillisError
from millis.types import Text


def dataset_from_tables(
    name: str,
    tables: Tables,
    columns: Columns,
    label_names: Sequence[str] | None = None,
    *,
    references: References = ONE_LABEL,
    unseen_labels: Unseen = "error",
    limit: int | None = None,
    unlabelled: str | Sequence[Text] | None = None,
    seed: int = 0,
    notes: Sequence[str] = (),
) -> Dataset:
    """Check tables and make a `Dataset`.

    A missing `validation` split is cut from `train` (one row in ten, stratified by label; rows that belong together
    stay so). A missing `test` split is replaced by `validation`, whose place is then cut from `train`, so that no text
    both steers and judges. A split without any label counts as missing.

    Args:
        tables: Tables of the splits `train`, and where they exist `validation` and `test`.
        references: What is read beside the texts.
        label_names: Names by index. None takes those of a `ClassLabel` column, or the names that occur in `train`.
            Where a table's column has classes of its own, their names are meant.
        unseen_labels: `error`; `drop` the rows without a label, and the validation and test rows whose label never
            occurs in training; or `keep` the latter, which no model can answer: they count as mistakes.
        limit: At most this many rows a split, drawn with `seed`, after splits are cut.
        unlabelled: Further texts, or the file or folder that has them, which only the teacher answers
            (`millis.data.unlabelled`).

    Raises:
        MillisError: an empty split, a missing column, a class that is none of `label_names`, a label that is
            missing, unknown or unseen in training, a cell that holds neither a text nor one label.
    """
    if unseen_labels not in UNSEEN:
        raise MillisError(f"data.unseen_labels={unseen_labels!r}: expected {', '.join(UNSEEN[:-1])} or {UNSEEN[-1]}")
    if limit is not None and limit < 1:
        raise MillisError(f"data.limit={limit}: expected at least 1 row a split, or null for all")
    notes = [*notes, *dict.fromkeys(note for found in tables.values() for table in found for note in table.notes)]
    names, splits = references.read(Source(name, tables, columns, label_names, unseen_labels, notes))
    cut = len(splits) < len(("train", "validation", "test"))
    _complete(name, splits, references, seed, notes)
    notes += overlap_notes(**splits, cut=cut, group=references.group)
    if limit is not None:
        splits = {split: sample(found, limit, seed, references) for split, found in splits.items()}
    if empty := sum(not has_words(text) for split in splits.values() for text in split.texts):
        notes.append(f"{empty} empty texts kept")
    further: list[Text] = []
    if unlabelled is not None:
        texts = columns.texts(next(table for table in tables["train"] if table.columns))
        source = Path(unlabelled).expanduser() if isinstance(unlabelled, str) else unlabelled
        further = read_unlabelled(source, texts, splits, notes)
    return Dataset(name, names, **splits, notes=notes, unlabelled=further)


def _complete(name: str, splits: dict[str, Split], references: References, seed: int, notes: list[str]) -> None:
    """Cut the splits that are missing."""
    if "test" not in splits:
        if "validation" not in splits:
            splits["train"], splits["test"] = holdout(name, splits["train"], seed + 1, references)
            notes.append("no test split: 10 % of train was set aside as the test split")
        else:
            splits["test"] = splits.pop("validation")
            notes.append("no test split: validation is the test split")
    if "validation" not in splits:
        splits["train"], splits["validation"] = holdout(name, splits["train"], seed, references)
        notes.append("no validation split: 10 % of train was set aside")
