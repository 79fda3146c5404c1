"""Pairs of sentences, as a corpus of translations has them.

    FOLDER/train, validation, test    .jsonl, .csv, ... (`millis.data.formats`), a pair a row
    a column for each language        such as en and de

What parts learn from is made of them: a sentence a row, where both sides have as many, for so it is asked; with
placeholders on both sides for codes and long numbers, and of some a second row with placeholders for words that mean
the same (`millis.applications.translation.lexicon`).
"""

import json
from collections.abc import Iterable, Iterator, Sequence
from itertools import islice
from pathlib import Path
from random import Random
from typing import NamedTuple

from millis.applications.sentences import sentences
from millis.applications.tables import rows, tables, words_of
from millis.applications.translation.glossary import Term, standing
from millis.applications.translation.lexicon import Lexicon, Link, apart
from millis.applications.translation.placeholders import COUNT, fixed, mark, replaced, small_numbers, without_marks
from millis.data.table import Table
from millis.errors import MillisError

SOURCE, TARGET = "source", "target"  # columns of what parts read
SEED = 2026
SHARE = 0.5  # of the rows of training that have words to take out: as many second rows
MOST = 3  # words that are taken out of a row


class Pair(NamedTuple):
    """A sentence in both languages."""

    source: str
    target: str


def pairs(folder: Path, split: str, columns: Sequence[str], limit: int | None = None) -> list[Pair]:
    """The pairs of a split, the first `limit` of them.

    Args:
        columns: Of the language that is read, and of that which is written.

    Raises:
        MillisError: no such file, a column that is missing, or a cell without a text; file and row are named.
    """
    found = tables(folder, split, expected=f"sentences with the columns {' and '.join(columns)}")
    return [*islice((pair for table in found for pair in _pairs(table, columns)), limit)]


def _pairs(table: Table, columns: Sequence[str]) -> Iterator[Pair]:
    if missing := [name for name in columns if name not in table.columns]:
        raise MillisError(
            f"{table.where} has no column {missing[0]!r} (app.source, app.target): found "
            f"{', '.join(table.columns) or 'none'}"
        )
    return rows(
        table, columns,
        lambda *cells: Pair(*(words_of(one, name, "a sentence") for one, name in zip(cells, columns, strict=True))),
    )  # fmt: skip


def write_rows(
    found: Sequence[Pair], languages: Sequence[str], scripts: Sequence[str], lexicon: Lexicon | None, file: Path
) -> None:
    """What a part reads of pairs, with the columns `SOURCE` and `TARGET`.

    Args:
        languages: Codes of both, by whose rules sentences are found.
        scripts: Of the language that is read.
        lexicon: Of words that are taken out of second rows; None where there are to be none.
    """
    random = Random(SEED)
    with file.open("w", encoding="utf-8") as lines:
        for pair in (one for several in found for one in one_by_one(several, languages)):
            for row in _rows(Pair(*map(without_marks, pair)), scripts, lexicon, random):
                lines.write(json.dumps({SOURCE: row.source, TARGET: row.target}, ensure_ascii=False) + "\n")


def one_by_one(pair: Pair, languages: Sequence[str]) -> list[Pair]:
    """The sentences of a pair; the pair where its sides have not as many."""
    ours, theirs = (
        [one.text for one in sentences(text, language)] for text, language in zip(pair, languages, strict=True)
    )
    return [Pair(*both) for both in zip(ours, theirs, strict=True)] if len(ours) == len(theirs) else [pair]


def _rows(pair: Pair, scripts: Sequence[str], lexicon: Lexicon | None, random: Random) -> Iterator[Pair]:
    fixed_terms = fixed(pair.source, scripts)
    stay = _again(pair, fixed_terms)
    yield _without(pair, stay, random)
    if lexicon is None:
        return
    words = [*_again(pair, small_numbers(pair.source, fixed_terms)), *lexicon.links(*pair)]
    if words and random.random() < SHARE:
        count = 1 + int(random.random() * MOST)
        yield _without(pair, [*stay, *sorted(words, key=lambda _: random.random())[:count]], random)


def _again(pair: Pair, terms: Iterable[Term]) -> list[Link]:
    """Terms that stand once on either side, and alike."""
    links = list[Link]()
    for term in terms:
        ours, theirs = (standing(term.target, text) for text in pair)
        if len(ours) == len(theirs) == 1:
            links.append(Link((term.begin, term.end), theirs[0]))
    return links


def _without(pair: Pair, links: Iterable[Link], random: Random) -> Pair:
    """A pair with the same placeholder on both sides of each link, of the first `COUNT`."""
    first, taken = int(random.random() * COUNT), sorted(islice(apart(links), COUNT))
    marks = [mark(first + number) for number in range(len(taken))]
    sides = zip(pair, zip(*taken, strict=True), strict=True) if taken else ()
    return Pair(*(replaced(text, zip(spans, marks, strict=True)) for text, spans in sides)) if taken else pair
