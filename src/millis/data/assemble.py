"""Tables to a `Dataset`: one order of reading, mapping, cutting and checking for every source."""

from collections import Counter
from collections.abc import Mapping, Sequence

from millis.data.classes import Tables, classes_of, under
from millis.data.columns import Columns
from millis.data.cut import holdout, sample
from millis.data.dataset import Dataset, Split
from millis.data.labels import Labels
from millis.data.mapped import mapped
from millis.data.overlaps import has_words, overlap_notes
from millis.data.rows import Rows, read_rows
from millis.data.suspicions import label_notes, refuse_other_tasks
from millis.errors import MillisError

LABEL_NAMES = "labels.txt"
SHOWN = 3  # labels in a note
Given = tuple[Sequence[str], str]  # names by index, and what gives them


def dataset_from_tables(
    name: str,
    tables: Tables,
    columns: Columns,
    label_names: Sequence[str] | None = None,
    *,
    unseen_labels: str = "error",
    limit: int | None = None,
    seed: int = 0,
    notes: Sequence[str] = (),
) -> Dataset:
    """Check tables and make a `Dataset`.

    A missing `validation` split is cut from `train` (one row in ten, stratified by label). A missing `test` split is
    replaced by `validation`, whose place is then cut from `train`, so that no text both steers and judges. A split
    without any label counts as missing.

    Args:
        tables: Tables of the splits `train`, and where they exist `validation` and `test`.
        label_names: Names by index. None takes those of a `ClassLabel` column, or the names that occur in `train`.
            Where a table's column has classes of its own, their names are meant.
        unseen_labels: `error`, or `drop` the rows without a label, and the validation and test rows whose label never
            occurs in training.
        limit: At most this many rows a split, drawn with `seed`, after splits are cut.

    Raises:
        MillisError: an empty split, a missing column, a class that is none of `label_names`, a label that is
            missing, unknown or unseen in training, a cell that holds neither a text nor one label.
    """
    if unseen_labels not in ("error", "drop"):
        raise MillisError(f"data.unseen_labels={unseen_labels!r}: expected error or drop")
    if limit is not None and limit < 1:
        raise MillisError(f"data.limit={limit}: expected at least 1 row a split, or null for all")
    if label_names is not None:
        tables = under(tables, columns.label, label_names, LABEL_NAMES)
    rows, own = _read(name, tables, columns)
    notes = [*notes, *dict.fromkeys(note for found in tables.values() for table in found for note in table.notes)]
    given = (label_names, LABEL_NAMES) if label_names is not None else own
    labels = _labels(rows, tables, columns.label, given, notes)
    splits = _mapped(rows, columns.label, labels, unseen_labels == "drop", notes)
    cut = len(splits) < len(("train", "validation", "test"))
    _complete(name, splits, seed, notes)
    notes += overlap_notes(**splits, cut=cut)
    if limit is not None:
        splits = {split: sample(found, limit, seed) for split, found in splits.items()}
    if empty := sum(not has_words(text) for split in splits.values() for text in split.texts):
        notes.append(f"{empty} empty texts kept")
    return Dataset(name, labels.names, **splits, notes=notes)


def _read(name: str, tables: Tables, columns: Columns) -> tuple[dict[str, Rows], Given | None]:
    """Rows of each split, and the names by index that the label's column has of its own."""
    first = next((table for table in tables.get("train", ()) if table.columns), None)
    if first is None:
        raise _empty(name, "train")
    texts = columns.resolve(first)
    rows = {split: read_rows(found, texts, columns.label) for split, found in tables.items()}
    for split, found in rows.items():
        if not len(found):
            raise _empty(name, split)
    own = first.classes.get(columns.label)
    return rows, None if own is None else (own, f"the classes of column {columns.label!r}")


def _mapped(rows: Mapping[str, Rows], column: str, labels: Labels, drop: bool, notes: list[str]) -> dict[str, Split]:
    """Splits with the index of each label; without those whose labels are all withheld."""
    splits = {"train": mapped(rows["train"], "train", column, labels, None, drop, notes)}
    trained = set(splits["train"].labels)
    if idle := [name for i, name in enumerate(labels.names) if i not in trained]:
        few = ", ".join(idle[:SHOWN]) + (", ..." if len(idle) > SHOWN else "")
        notes.append(f"{len(idle)} of {len(labels.names)} labels have no training row: {few}")
    for split, found in rows.items():
        if split != "train" and all(map(labels.withholds, found.labels)):
            notes.append(f"the {split} split has no labels and was not used")
        elif split != "train":
            splits[split] = mapped(found, split, column, labels, trained, drop, notes)
    return splits


def _empty(name: str, split: str) -> MillisError:
    return MillisError(f"{name}: the {split} split is empty; it needs at least one row")


def _labels(rows: Mapping[str, Rows], tables: Tables, column: str, given: Given | None, notes: list[str]) -> Labels:
    """The labels by the names given for them, or those that occur in training rows."""
    if given is not None:
        bare = sum((found.bare for found in rows.values()), Counter[str]())
        return Labels.given(*given, bare, classes_of(tables, column))
    train = rows["train"]
    counts = Counter(label for label in train.labels if label is not None)
    if not counts:
        raise MillisError(f"{train.where(0)}: column {column!r} is empty, as in every training row; expected labels")
    refuse_other_tasks(counts, f"{train.places[0]}: column {column!r}")
    labels = Labels.learned(counts)
    merged: Counter[str] = Counter()
    for label, count in counts.items():
        merged[labels.names[labels.find(label) or 0]] += count
    notes += label_notes(merged, column)
    return labels


def _complete(name: str, splits: dict[str, Split], seed: int, notes: list[str]) -> None:
    """Cut the splits that are missing."""
    if "test" not in splits:
        if "validation" not in splits:
            splits["train"], splits["test"] = holdout(name, splits["train"], seed + 1)
            notes.append("no test split: 10 % of train was set aside as the test split")
        else:
            splits["test"] = splits.pop("validation")
            notes.append("no test split: validation is the test split")
    if "validation" not in splits:
        splits["train"], splits["validation"] = holdout(name, splits["train"], seed)
        notes.append("no validation split: 10 % of train was set aside")
