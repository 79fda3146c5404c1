"""Sentences of a text, where each stands, and which section it belongs to.

Boundaries are found by sentencex (Wikimedia), whose rules know abbreviations, numbers and quotations of some 300
languages; every line is read by itself, for a line break ends a sentence in dialogues, lists and headings. A text is
divided in one pass, so time is linear in its length.
"""

import re
from collections.abc import Iterator
from typing import NamedTuple

from millis.errors import MillisError

LONGEST = 1000  # characters of a sentence: what never ends is cut there, at a blank where it has one
MOST = 50  # sentences of a section: what has no empty lines is divided into pieces of two pages
_LINE = re.compile(r"[^\n\r\u2028\u2029]+")
_HAN = re.compile(r"[\u3400-\u9fff]")
_LOOKED_AT = 400  # characters that tell whether a text is Chinese


class Sentence(NamedTuple):
    """A sentence of a text.

    Args:
        text: Without blanks around it.
        begin, end: Characters of the text that it takes, `text[begin:end]`.
        section: Number of its section, from 0: sections are divided by empty lines, and long ones after `MOST`
            sentences.
    """

    text: str
    begin: int
    end: int
    section: int


def sentences(text: str, language: str = "en") -> list[Sentence]:
    """The sentences of `text`, in order; none where it has nothing but blanks.

    Args:
        language: Code of ISO 639 whose rules are used; a text that is Chinese by its characters is read as Chinese.

    Raises:
        MillisError: the package that divides texts is not installed.
    """
    try:
        from sentencex import get_sentence_boundaries
    except ImportError as error:
        raise MillisError(
            "sentences are found by sentencex, which is not installed: pip install 'millis[applications]'"
        ) from error
    rules = "zh" if is_chinese(text) else language
    found: list[Sentence] = []
    section, last, first = 0, 0, 0
    for line in _LINE.finditer(text):
        if line.group().isspace():
            continue
        if found and text.count("\n", last, line.start()) > 1:
            section, first = section + 1, len(found)
        last = line.end()
        for one in get_sentence_boundaries(rules, line.group()):
            if len(found) - first >= MOST:
                section, first = section + 1, len(found)
            begin = line.start() + one["start_index"]
            found += _cut(text, begin, line.start() + one["end_index"], section)
    return found


def is_chinese(text: str) -> bool:
    """Whether a third of its beginning are Chinese characters."""
    beginning = text[:_LOOKED_AT]
    return 3 * chinese_characters(beginning) > len(beginning.strip()) > 0


def chinese_characters(text: str) -> int:
    """How many there are."""
    return len(_HAN.findall(text))


def _cut(text: str, begin: int, end: int, section: int) -> Iterator[Sentence]:
    """`text[begin:end]` without blanks around it, in pieces of `LONGEST` characters where it is longer."""
    while begin < end:
        until = min(begin + LONGEST, end)
        if until < end and (blank := text.rfind(" ", begin + 1, until)) > 0:
            until = blank
        piece = text[begin:until]
        if said := piece.strip():
            start = begin + len(piece) - len(piece.lstrip())
            yield Sentence(said, start, start + len(said), section)
        begin = until
