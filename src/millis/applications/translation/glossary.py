"""A glossary: terms of one language, and what each has to be called in the other.

A file of one has the columns `source` and `target` (any format of `data=local`). A term is found where its characters
stand as words of their own, in capitals or not; in writing without blanks, wherever they stand. Of terms that overlap
the longest is taken. A form of a word is a term of its own: `lamp` is not found in `lamps`.
"""

import re
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import NamedTuple

from millis.applications.sentences import chinese_characters
from millis.data.cells import CellError, is_visible, text_of
from millis.data.formats import ROWS, read_table
from millis.errors import MillisError

COLUMNS = ("source", "target")
_BEFORE, _BEHIND = r"(?<![^\W\u3400-\u9fff])", r"(?![^\W\u3400-\u9fff])"  # no letter of a word, but for Chinese ones


class Term(NamedTuple):
    """A term where it stands.

    Args:
        begin, end: Characters of the text.
        target: What it is to be called.
    """

    begin: int
    end: int
    target: str


class Glossary:
    """Finds terms in texts.

    Args:
        terms: Term → what it is to be called.

    Raises:
        MillisError: a term or what it is called is blank, or a term has two names.
    """

    def __init__(self, terms: Mapping[str, str]) -> None:
        self.terms = dict(terms)
        self._targets = _checked((*pair, "the glossary") for pair in terms.items())
        longest_first = sorted(self.terms, key=lambda term: (-len(term), term))
        self._pattern = re.compile("|".join(map(_standing, longest_first)), re.IGNORECASE) if longest_first else None

    def __len__(self) -> int:
        return len(self._targets)

    def found(self, text: str) -> Iterator[Term]:
        """The terms of a text, in its order."""
        for match in self._pattern.finditer(text) if self._pattern is not None else ():
            target = self._targets.get(_folded(match.group()))
            if target is not None:  # letters may be alike in an expression and not when folded
                yield Term(*match.span(), target)

    def with_terms(self, terms: Mapping[str, str]) -> "Glossary":
        """The same with further terms, which go before those that it has.

        Raises:
            MillisError: as for a glossary of these alone.
        """
        ours = Glossary(terms)
        kept = {term: target for term, target in self.terms.items() if _folded(term) not in ours._targets}
        return Glossary(kept | ours.terms)


def read_glossary(given: str | Path | Mapping[str, str]) -> Glossary:
    """A glossary from a mapping or a file.

    Raises:
        MillisError: the file cannot be read or lacks a column; as `Glossary`, where the row is named.
    """
    if isinstance(given, Mapping):
        return Glossary({str(term): str(target) for term, target in given.items()})
    path = Path(given).expanduser()
    if not path.is_file() or not path.name.endswith(ROWS):
        raise MillisError(
            f"glossary {given} is not there, or is no table: expected a file with one of {', '.join(ROWS)} and the "
            "columns source and target"
        )
    table = read_table(path)
    if missing := [name for name in COLUMNS if name not in table.columns]:
        raise MillisError(f"glossary {path} has no column {missing[0]!r}: found {', '.join(table.columns) or 'none'}")
    rows = []
    for number, cells in enumerate(table.cells(COLUMNS), 1):
        try:
            source, target = (text_of(cell, column) for cell, column in zip(cells, COLUMNS, strict=True))
        except CellError as error:
            raise MillisError(f"glossary {path}, row {number}: {error}") from error
        rows.append((source, target, f"glossary {path}, row {number}"))
    _checked(rows)
    return Glossary({source: target for source, target, _ in rows})


def _checked(rows: Iterable[tuple[str, str, str]]) -> dict[str, str]:
    """Folded term → what it is called, of (term, target, place).

    Raises:
        MillisError: as said.
    """
    found: dict[str, str] = {}
    for source, target, place in rows:
        term, name = _folded(source), target.strip()
        if not (is_visible(term) and is_visible(name)):
            raise MillisError(
                f"{place}: the term {source!r} with the target {target!r} has a blank side; expected words"
            )
        if found.setdefault(term, name) != name:
            raise MillisError(
                f"{place}: the term {source.strip()!r} is to be both {found[term]!r} and {name!r}; expected one. "
                "Leave one of them out"
            )
    return found


def standing(term: str, text: str) -> list[tuple[int, int]]:
    """Where a term stands in a text as a word, or a number, of its own, written as it is: (begin, end) of each."""
    return [match.span() for match in re.finditer(_standing(term), text)]


def _standing(term: str) -> str:
    """An expression for a term that is a word of its own."""
    words = term.split()
    found = r"\s+".join(map(re.escape, words))
    if chinese_characters(term):
        return found
    if term[0].isdigit() and term[-1].isdigit():  # 1 is no part of 1.5
        found = rf"(?<!\d[.,:/]){found}(?![.,:/]\d)"
    return f"{_BEFORE if words[0][0].isalnum() else ''}{found}{_BEHIND if words[-1][-1].isalnum() else ''}"


def _folded(term: str) -> str:
    """A term however it is written."""
    return " ".join(term.split()).casefold()
