"""Columns: which of a table's hold the texts and the label."""

from collections.abc import Sequence
from dataclasses import dataclass

from millis.data.table import Table
from millis.errors import MillisError, nearest

TEXT_COLUMNS = (("text",), ("text_a", "text_b"), ("sentence",), ("sentence1", "sentence2"), ("question", "sentence"))


@dataclass(frozen=True)
class Columns:
    """Which columns hold what; None is found by its usual name.

    Args:
        text: The text, or the first of a pair.
        text_pair: The second text of a pair. Where it alone is named, the one usual column of texts is the first.
        label: An index into the label names, or a name.
    """

    text: str | None = None
    text_pair: str | None = None
    label: str = "label"

    def resolve(self, table: Table) -> tuple[str, ...]:
        """The text columns of `table`, one or two; its label column is there too.

        Raises:
            MillisError: a column is not there, or the first of a pair is not clear; names those that are.
        """
        texts = self.texts(table)
        check(table, (*texts, self.label))
        return texts

    def texts(self, table: Table) -> tuple[str, ...]:
        """The text columns of `table`, one or two; those that are named may be missing.

        Raises:
            MillisError: none has a usual name, or the first of a pair is not clear.
        """
        if self.text is not None:
            return (self.text,) if self.text_pair is None else (self.text, self.text_pair)
        found = [names for names in TEXT_COLUMNS if all(name in table.columns for name in names)]
        if self.text_pair is not None:
            return _first(found, self.text_pair, table), self.text_pair
        if not found:
            raise MillisError(
                f"{table.where} has no text column: found {', '.join(table.columns)}. Name it with data.text=... "
                f"(and data.text_pair=... for pairs){_separators(table)}"
            )
        return max(found, key=len)


def _first(found: Sequence[tuple[str, ...]], pair: str, table: Table) -> str:
    """The usual column of texts that `pair` is the second of: its partner, or the only one besides it."""
    partners = [names[0] for names in found if names[1:] == (pair,)]
    singles = [names[0] for names in found if len(names) == 1 and names[0] != pair]
    if len(partners or singles) != 1:
        raise MillisError(
            f"data.text_pair={pair} without data.text: which column of {table.where} has the first texts is not clear: "
            f"found {', '.join(table.columns)}. Name it with data.text=..."
        )
    return (partners or singles)[0]


def _separators(table: Table) -> str:
    """Advice where a name looks like several columns in one."""
    joined = next((name for name in table.columns if any(separator in name for separator in ";\t|")), None)
    return "" if joined is None else f". If {joined!r} is several columns, save the file with one separator throughout"


def check(table: Table, names: Sequence[str]) -> None:
    """Refuse a table without one of the columns `names`.

    Raises:
        MillisError: names those that are there.
    """
    for name in names:
        if name not in table.columns:
            raise MillisError(
                f"{table.where} has no column {name!r}: found {', '.join(table.columns)}"
                f"{_near(name, table.columns)}. Name columns with data.text=, data.text_pair=, data.label="
            )


def refuse_misspelt(table: Table, label: str, texts: Sequence[str]) -> None:
    """Refuse a table that lacks the label's column but has one of nearly its name: it would count as unlabelled.

    Raises:
        MillisError: names that column.
    """
    others = [name for name in table.columns if name not in texts]
    if label not in table.columns and (near := _near(label, others)):
        raise MillisError(
            f"{table.where} has no column {label!r}: found {', '.join(table.columns)}{near}. Give it the same name in "
            "every file, or, where the split has no labels, leave it out with data.validation=null or data.test=null"
        )


def _near(name: str, valid: Sequence[str]) -> str:
    """As `nearest`, whatever the case of letters and the blanks around them."""
    same = [other for other in valid if other.strip().casefold() == name.strip().casefold()]
    return nearest(name, valid) if not same else f" (did you mean {same[0]!r}?)"
