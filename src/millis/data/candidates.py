"""Candidates of queries: what is right for a text is how relevant it is to its query.

Relevance says which of a query's candidates is better, and nothing across queries: one search may have ten good
answers, another none. So models learn it less the mean of the query's candidates, over the deviation of all training
rows, and a query's candidates are always in one split.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import chain
from statistics import fmean
from typing import Any, ClassVar, NamedTuple

import numpy as np
from numpy.typing import NDArray

from millis.data.cells import CellError, label_of, tidy
from millis.data.dataset import Split
from millis.data.labels import number, whole
from millis.data.numbers import NUMBERS, number_in
from millis.data.one_label import LABEL_NAMES
from millis.data.references import Read, Source, TextsAlone, together
from millis.data.table import Table
from millis.data.texts import Row, answered, rows_of
from millis.errors import MillisError, nearest
from millis.types import Text

NO_QUERY = -1  # of a text that is no query's candidate, such as those that only a teacher answers


class Graded(NamedTuple):
    """What is right for a candidate.

    Args:
        query: Its index.
        relevance: 0 or more, in the unit of the data.
        mean: Of all candidates of the query.
    """

    query: int
    relevance: float
    mean: float


class Candidate(NamedTuple):
    """A row as it is written.

    Args:
        place: What errors call it.
        query: Its name.
    """

    text: Text
    place: str
    query: str


@dataclass(frozen=True)
class Candidates(TextsAlone):
    """References are `Graded`.

    Args:
        column: Of relevance; None takes the data's column of labels (`data.label`).
        query: The column that names each row's query; None takes the first text of a pair.
        deviation: Of training rows' relevance from their query's mean: models learn (relevance - mean) / deviation.
    """

    column: str | None = None
    query: str | None = None
    deviation: float = 1.0
    reads_offsets: ClassVar[bool] = False

    def read(self, source: Source) -> Read:
        """Relevance and queries; see `millis.data.references.References`.

        Relevance is a number, a truth value, or the index of a name in `labels.txt`, which a note then says. Queries
        that tell no order from another are left out and counted: all candidates are equally relevant, or are one text.

        Raises:
            MillisError: an empty split, a missing column or query, a cell that holds no relevance and is not to be left
                out, or no query of a split tells orders apart.
        """
        column, splits = self.column or source.columns.label, dict[str, Split]()
        index: dict[str, int] = {}
        for split, tables in source.tables.items():
            rows = rows_of(source.name, split, tables, source.columns, column)
            grades = source.given or rows[0].classes or ()
            values = [_relevance(row, column, grades) for row in rows]
            names = self._queries(rows, tables)
            if (
                split == "train"
                and grades
                and {value for value in values if value is not None} <= {*range(len(grades))}
            ):
                said = ", ".join(f"{tidy(name)} is {place}" for place, name in enumerate(grades))
                source.notes.append(f"relevance is the place among the names of column {column!r}: {said}")
            found = [Candidate(row.text, row.place, name) for row, name in zip(rows, names, strict=True)]
            if graded := answered(split, found, values, column, NUMBERS, source.unseen, source.notes):
                splits[split] = self._split(split, graded, index, source.notes)
        trained = {reference.query for reference in splits["train"].references}
        for split in [name for name in splits if name != "train"]:
            queries = {reference.query for reference in splits[split].references}
            if shared := len(queries & trained):
                source.notes.append(f"{shared} of {len(queries)} {split} queries also occur in train")
        return Read({}, splits)

    def _queries(self, rows: Sequence[Row], tables: Sequence[Table]) -> list[str]:
        """The name of each row's query, [N].

        Raises:
            MillisError: there is no such column, a cell names none, or texts that are no pairs do not say it.
        """
        if self.query is not None:
            cells = chain.from_iterable(_cells(table, self.query) for table in tables if table.columns)
            return [_query(row, cell, self.query) for row, cell in zip(rows, cells, strict=True)]
        if isinstance(rows[0].text, str):
            raise MillisError(
                f"{rows[0].place}: which query the text is a candidate of is not said. Name the column that says it "
                "with task.query=..., or give pairs, a query and a candidate, with data.text= and data.text_pair="
            )
        return [row.text[0] for row in rows]

    def _split(
        self, split: str, graded: Sequence[tuple[Candidate, float]], index: dict[str, int], notes: list[str]
    ) -> Split:
        """The split with the queries that tell orders apart; `index` gets those that are new.

        Raises:
            MillisError: there are none.
        """
        by_query = together([row.query for row, _ in graded], str)
        means: dict[str, float] = {}
        alike = same = 0
        for rows in by_query:
            relevances = [graded[row][1] for row in rows]
            if min(relevances) == max(relevances):
                alike += 1
            elif len({graded[row][0].text for row in rows}) == 1:
                same += 1
            else:
                means[graded[rows[0]][0].query] = fmean(relevances)
        if not means:
            raise MillisError(
                f"{graded[0][0].place}: none of the {len(by_query)} queries of this split has two texts of different "
                "relevance, so there is no order to learn or to judge. Name the column of queries with task.query=... "
                "and that of relevance with task.column=..."
            )
        for count, reason in ((alike, "all candidates are equally relevant"), (same, "all candidates are one text")):
            if count:
                notes.append(f"{count} of {len(by_query)} queries of {split} left out: {reason}")
        kept = [(row, relevance) for row, relevance in graded if row.query in means]
        references = [
            Graded(index.setdefault(row.query, len(index)), relevance, means[row.query]) for row, relevance in kept
        ]
        return Split([row.text for row, _ in kept], references)

    def stratum(self, reference: Graded) -> None:
        """None: splits are cut at random."""

    def group(self, reference: Graded) -> int:
        """The query."""
        return reference.query

    def targets(
        self, texts: Sequence[Text], references: Sequence[Graded], encodings: Sequence[Any]
    ) -> tuple[NDArray[np.float32]]:
        """Of each text, [N]."""
        centred = np.array([relevance - mean for _, relevance, mean in references], np.float64)
        return ((centred / self.deviation).astype(np.float32),)

    def unanswered(self, text: Text) -> Graded:
        """The mean of no query."""
        return Graded(NO_QUERY, 0.0, 0.0)

    def answered(self, text: Text, categories: float, encoding: Any) -> Graded:
        """As relevant as that, to no query."""
        return Graded(NO_QUERY, categories * self.deviation, 0.0)


def _cells(table: Table, column: str) -> Iterator[Any]:
    """What a column holds.

    Raises:
        MillisError: it is not there.
    """
    if column not in table.columns:
        raise MillisError(
            f"{table.where} has no column {column!r}: found {', '.join(table.columns)}"
            f"{nearest(column, table.columns)}. Name the column of queries with task.query=..."
        )
    yield from (cell for (cell,) in table.cells((column,)))


def _query(row: Row, cell: Any, column: str) -> str:
    """The name of a query.

    Raises:
        MillisError: there is none.
    """
    try:
        name = label_of(cell, column)
    except CellError:
        name = None
    if name is None:
        raise MillisError(f"{row.place}: column {column!r} holds {cell!r}; expected the name or number of a query")
    value = whole(name)
    return name if value is None else str(value)


def _relevance(row: Row, column: str, names: Sequence[str]) -> float | None:
    """How relevant a row is; None where its cell is empty.

    Args:
        names: By index, from the least relevant to the most.

    Raises:
        MillisError: neither a number of 0 or more nor one of `names`.
    """
    cell, known = row.cell, list(map(tidy, names))
    if isinstance(cell, bool):
        return float(cell)
    if isinstance(cell, str) and cell.strip() and number(cell.strip()) is None:
        if tidy(cell) in known:
            return float(known.index(tidy(cell)))
        raise MillisError(
            f"{row.place}: column {column!r} holds {cell!r}; expected a number, or one of the names in {LABEL_NAMES}, "
            f"from the least relevant to the most ({', '.join(known) or 'there is no such file'})"
        )
    value = number_in(row, column)
    if value is not None and value < 0:
        raise MillisError(f"{row.place}: column {column!r} holds {cell!r}; expected a relevance of 0 or more")
    return value
