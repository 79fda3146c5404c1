"""Rows that a program already holds, as a source: lists, pandas, Arrow or `datasets`."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from millis.data.assemble import dataset_from_tables
from millis.data.columns import Columns
from millis.data.dataset import Dataset
from millis.data.formats.arrow import dataset_table, memory_table
from millis.data.one_label import ONE_LABEL
from millis.data.references import References, Unseen
from millis.data.table import Cells, Table
from millis.errors import MillisError
from millis.store import fingerprint
from millis.types import Text

EXPECTED = "expected a list of dictionaries, (texts, labels), a pandas.DataFrame, a pyarrow.Table or a datasets.Dataset"
SPLITS = ("train", "validation", "test")


@dataclass(frozen=True)
class Memory:
    """Splits in memory; what is missing is cut from `train`, as for files (`millis.data.local.Local`).

    Args:
        splits: `train`, and where they exist `validation` and `test` → rows: a list of dictionaries, a pair (texts,
            labels) of lists, a `pandas.DataFrame`, a `pyarrow.Table` or a `datasets.Dataset`. A `datasets.DatasetDict`
            is such a mapping.
        name: How runs on it are named.
        text, text_pair, label: Columns; None finds the usual names.
        unseen_labels: `error`; `drop` rows without a label, and rows whose label no training row has; `keep` these.
        limit: At most this many rows a split.
        unlabelled: Further texts (or pairs), for students to learn from as the teacher answers them.
        content: Fingerprint of the rows; it is found here.

    Raises:
        MillisError: no training rows, a split that there is not, or rows of another kind.
    """

    splits: Mapping[str, Any] = field(repr=False, hash=False, compare=False, metadata={"described": False})
    name: str = "memory"
    text: str | None = None
    text_pair: str | None = None
    label: str = "label"
    unseen_labels: Unseen = "error"
    limit: int | None = None
    unlabelled: Sequence[Text] = field(default=(), repr=False, metadata={"described": False})
    content: str = ""

    def __post_init__(self) -> None:
        if "train" not in self.splits or set(self.splits) - set(SPLITS):
            found = ", ".join(map(str, self.splits)) or "nothing"
            raise MillisError(f"data has {found}: expected train and, where they exist, validation and test")
        tables = self._tables()
        rows = {split: [[*map(_plain, row)] for row in table.cells(table.columns)] for split, table in tables.items()}
        columns = {split: table.columns for split, table in tables.items()}
        object.__setattr__(self, "unlabelled", tuple(self.unlabelled))
        object.__setattr__(self, "content", fingerprint(columns, repr(rows), list(self.unlabelled)))

    def __call__(self, references: References = ONE_LABEL) -> Dataset:
        """Read the rows.

        Args:
            references: What is read beside the texts.

        Raises:
            MillisError: as `millis.data.assemble.dataset_from_tables`.
        """
        return dataset_from_tables(
            self.name,
            {split: [table] for split, table in self._tables().items()},
            Columns(self.text, self.text_pair, self.label),
            references=references,
            unseen_labels=self.unseen_labels,
            limit=self.limit,
            unlabelled=self.unlabelled or None,
        )

    def _tables(self) -> dict[str, Table]:
        return {split: table_of(f"data.{split}", rows, self.label) for split, rows in self.splits.items()}


def table_of(where: str, rows: Any, label: str = "label") -> Table:
    """Rows of any kind as a table.

    Args:
        where: What errors call them.
        label: Name of the column of labels, where `rows` are (texts, labels).

    Raises:
        MillisError: another kind, or texts and labels that differ in number.
    """
    kind = f"{type(rows).__module__.partition('.')[0]}.{type(rows).__name__}"
    if kind == "datasets.Dataset":
        return dataset_table(where, rows)
    if kind == "pyarrow.Table":
        return memory_table(where, rows)
    if kind == "pandas.DataFrame":
        import pyarrow

        return memory_table(where, pyarrow.Table.from_pandas(rows, preserve_index=False))
    if isinstance(rows, tuple) and len(rows) == 2:
        return _of_lists(where, *rows, label)
    if isinstance(rows, list) and rows and all(isinstance(row, Mapping) for row in rows):
        return _of_dictionaries(where, rows)
    raise MillisError(f"{where} is {kind}: {EXPECTED}")


def _of_lists(where: str, given: Iterable[Text], named: Iterable[Any], label: str) -> Table:
    texts, labels = [] if isinstance(given, str) else list(given), list(named)
    if len(texts) != len(labels):
        raise MillisError(f"{where} has {len(texts)} texts and {len(labels)} labels: expected as many")
    if any(isinstance(text, tuple | list) for text in texts):
        pairs = [text if isinstance(text, tuple | list) and len(text) == 2 else (text, None) for text in texts]
        first, second = (list(column) for column in zip(*pairs, strict=True))
        return _columns(where, {"text_a": first, "text_b": second, label: labels})
    return _columns(where, {"text": texts, label: labels})


def _of_dictionaries(where: str, rows: Sequence[Mapping[str, Any]]) -> Table:
    names = dict.fromkeys(str(key) for row in rows for key in row)
    return _columns(where, {name: [row.get(name) for row in rows] for name in names})


def _columns(where: str, columns: Mapping[str, Sequence[Any]]) -> Table:
    rows = len(next(iter(columns.values())))
    columns = {name: [_plain(cell) for cell in column] for name, column in columns.items()}

    def cells(wanted: Sequence[str]) -> Iterator[Cells]:
        missing = [None] * rows
        yield from zip(*(columns.get(name, missing) for name in wanted), strict=True)

    return Table(where, tuple(columns), cells)


def _plain(cell: Any) -> Any:
    """Numbers and arrays of NumPy and PyTorch as Python's."""
    return cell.tolist() if hasattr(cell, "tolist") else cell
