"""Documents with summaries, and what each of their sentences has of these.

    FOLDER/train, validation, test    .jsonl, .csv, ... (`millis.data.formats`), a document a row
    document                          its text
    summary                           what it should become
    references                        several summaries that are right, a list; optional, they take its place

A sentence's label is the F of the words that it shares with a summary (ROUGE-1, Lin 2004, each Chinese character being
a word), of several summaries the largest.
"""

import json
import re
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from millis.applications.sentences import sentences
from millis.applications.tables import rows, tables, words_of
from millis.data.cells import listed
from millis.data.table import Table
from millis.errors import MillisError

COLUMNS = ("document", "summary", "references")
_WORDS = re.compile(r"[\u3400-\u9fff]|[^\W_]+")


class Document(NamedTuple):
    """A text and the summaries that are right for it, one or more."""

    text: str
    summaries: tuple[str, ...]


def documents(folder: Path, split: str) -> list[Document]:
    """The documents of a split.

    Raises:
        MillisError: no such file, a column that is missing, or a cell without a text; file and row are named.
    """
    found = tables(folder, split, expected="documents with the columns document and summary")
    return [one for table in found for one in _documents(table)]


def _documents(table: Table) -> Iterator[Document]:
    missing = [name for name in COLUMNS[:2] if name not in table.columns]
    if missing and not ("references" in table.columns and missing == ["summary"]):
        raise MillisError(f"{table.where} has no column {missing[0]!r}: found {', '.join(table.columns) or 'none'}")
    return rows(table, COLUMNS, _document)


def _document(document: Any, summary: Any, references: Any) -> Document:
    several = listed(references) if isinstance(references, str) else references
    right = [(one, "references") for one in several or [] if one] or [(summary, "summary")]
    return Document(words_of(document, "document"), tuple(words_of(*one) for one in right))


def shared(text: str, summaries: Sequence[str]) -> float:
    """The F of the words that a text shares with a summary, from 0 to 1; of several summaries the largest."""
    ours = Counter(_WORDS.findall(text.lower()))
    return max((_f(ours, Counter(_WORDS.findall(one.lower()))) for one in summaries), default=0.0)


def _f(ours: Counter[str], theirs: Counter[str]) -> float:
    both = (ours & theirs).total()
    return 2 * both / (ours.total() + theirs.total()) if both else 0.0


def write_sentences(documents: Sequence[Document], language: str, file: Path) -> None:
    """A sentence a row as `task=retrieval` reads it: `text` and the number of its document as `label`."""
    with file.open("w", encoding="utf-8") as lines:
        for number, document in enumerate(documents):
            for one in sentences(document.text, language):
                lines.write(json.dumps({"text": one.text, "label": str(number)}, ensure_ascii=False) + "\n")


def write_collection(documents: Sequence[Document], file: Path) -> None:
    """The summary of each document, as `task=retrieval` reads entries: `id`, its number, and `text`."""
    with file.open("w", encoding="utf-8") as lines:
        for number, document in enumerate(documents):
            lines.write(json.dumps({"id": str(number), "text": document.summaries[0]}, ensure_ascii=False) + "\n")
