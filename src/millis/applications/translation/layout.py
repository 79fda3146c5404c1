"""Layout: what of a text is translated, and what stands between, which stays as it is.

Line breaks, paragraphs, indents, marks of lists, and what has no letters are kept. Between two sentences of a line
stands what the language that is written has there: a blank, or in Chinese and Japanese nothing.
"""

import re
from collections.abc import Iterator, Sequence
from typing import NamedTuple

from millis.applications.sentences import is_chinese, sentences

_MARKS = re.compile(r"(?:[-*•·–#>]+|\(?(?:\d{1,3}|[a-zA-Z])[.)])[ \t]+(?=\S)")
_CLAUSES = re.compile(r"[,;:，；：、][ \t]*|[ \t]+[-–—(]|(?<=。)")
_BLANKS = re.compile(r"[ \t]+")
LEAST = 12  # characters of either half of a sentence that is divided


class Piece(NamedTuple):
    """A sentence of a text.

    Args:
        before: What stands between the one before it and this one.
        text: Without blanks around it.
    """

    before: str
    text: str


def pieces(text: str, language: str) -> tuple[list[Piece], str]:
    """The sentences of a text, and what stands behind the last one.

    Args:
        language: As of `millis.applications.sentences.sentences`.
    """
    found, at = list[Piece](), 0
    for one in sentences(text, language):
        if not any(map(str.isalpha, one.text)):
            continue
        begin = one.begin
        if ("\n" in text[at:begin] or not at) and (marks := _MARKS.match(text, begin, one.end)):
            begin = marks.end()
        found.append(Piece(text[at:begin], text[begin : one.end]))
        at = one.end
    return found, text[at:]


def between(before: str, first: bool, blanks: bool) -> str:
    """What stands before a sentence's translation.

    Args:
        before: What stands before the sentence.
        first: Whether it is the first of the text.
        blanks: Whether the language that is written has blanks between sentences.
    """
    if first or not (before == "" or before.isspace()) or any(char in before for char in "\n\r\u2028\u2029"):
        return before
    return (before or " ") if blanks else ""


def halves(text: str) -> tuple[str, str] | None:
    """A sentence in two, where a clause ends nearest to its middle, else at a blank, else between two letters of
    writing without blanks; None where that would leave less than `LEAST` characters."""
    middle = len(text) // 2
    for expression in (_CLAUSES, _BLANKS):
        ends = [match.end() for match in expression.finditer(text)]
        fit = [end for end in ends if LEAST <= end <= len(text) - LEAST]
        if fit:
            at = min(fit, key=lambda end: abs(end - middle))
            return text[:at].rstrip(), text[at:].lstrip()
    if is_chinese(text) and len(text) >= 2 * LEAST:
        return text[:middle], text[middle:]
    return None


def joined(texts: Sequence[str], blanks: bool) -> str:
    """Parts of one sentence."""
    return (" " if blanks else "").join(_said(texts))


def _said(texts: Sequence[str]) -> Iterator[str]:
    return (text.strip() for text in texts if text.strip())
