"""Placeholders: what has to stay as it is said is taken out of a sentence, and put into its translation.

A part learns with rows in which words of both sides that mean the same are one character of Unicode's private use, the
same on both sides (`millis.applications.translation.lexicon`), so it carries such a character over to where the word
belongs (Crego et al. 2016, 1610.05540, section 3.1; Post et al. 2019, "An exploration of placeholding in neural machine
translation"). So any term of a glossary is kept, and a number or a code that no training row has, by a model of any
size, on every runtime and with every way of generating, for all that is asked is a text for a text. What it gives up is
agreement: the model does not see the word, and guesses its gender. Constrained decoding (`millis.generation.form`)
needs logits, which engines that search do not give, and a small model that is held to a word puts it at the end; a
word that is replaced afterwards has to be found first.
"""

import re
from collections.abc import Iterable, Iterator, Sequence
from itertools import islice
from typing import NamedTuple

from millis.applications.translation.glossary import Term
from millis.applications.translation.scripts import foreign

FIRST = 0xE000  # of the private use area of the basic plane
COUNT = 8  # different ones: a sentence has seldom more that has to stay as it is
MARKS = frozenset(chr(FIRST + number) for number in range(COUNT))
_RESERVED = re.compile("[\ue000-\uf8ff]+")
_NAMES = re.compile(r"(?:https?://|www\.)[^\s<>\"'，。]*[\w/]|[\w.+-]+@[\w-]+\.[\w.-]*\w", re.ASCII)
_CODES = re.compile(r"[A-Za-z0-9]+(?:[-.,/:_#][A-Za-z0-9]+)*")
_NUMBER = re.compile(
    r"(?<![A-Za-z0-9])\d+(?:[.,:/]\d+)*(?![A-Za-z0-9月])"
)  # a month of a Chinese date has a name elsewhere
_LONG = 3  # digits: shorter numbers are words that a model learns, such as a day of a month


class Masked(NamedTuple):
    """A sentence without what has to stay.

    Args:
        text: With placeholders.
        kept: What each stands for in the translation, in the order of their places in the sentence.
        marks: The placeholders, as many.
    """

    text: str
    kept: tuple[str, ...]
    marks: tuple[str, ...]

    def restored(self, written: str) -> str:
        """A translation with what the placeholders stand for; one that stands for nothing is left out."""
        found = dict(zip(self.marks, self.kept, strict=True))
        return "".join(found.get(letter, "") if letter in MARKS else letter for letter in written)


def mark(number: int) -> str:
    """A placeholder."""
    return chr(FIRST + number % COUNT)


def fixed(text: str, scripts: Sequence[str]) -> list[Term]:
    """What stays as it is in any language: addresses, codes, numbers of three digits or more, words of scripts other
    than `scripts`, and letters of private use, which only their writer knows."""
    spans = [match.span() for match in _RESERVED.finditer(text)]
    spans += [match.span() for match in _NAMES.finditer(text)]
    spans += [match.span() for match in _CODES.finditer(text) if _is_code(match.group())]
    spans += foreign(text, scripts)
    return [*_apart(Term(begin, end, text[begin:end]) for begin, end in spans)]


def small_numbers(text: str, taken: Iterable[Term] = ()) -> list[Term]:
    """Numbers that a model is left to translate, though they should be found in what it writes.

    Args:
        taken: Terms, within which there are none.
    """
    found = (Term(*match.span(), match.group()) for match in _NUMBER.finditer(text))
    small = [term for term in found if not _is_code(term.target)]
    return [term for term in _apart([*taken, *small]) if term in small]


def masked(text: str, terms: Iterable[Term], first: int = 0) -> Masked:
    """A sentence with placeholders in place of terms, of which the first `COUNT` are taken.

    Args:
        terms: Those that go before others first; what overlaps with one of these is left out. So are letters of
            private use that are no term's.
        first: Number of the first placeholder.
    """
    taken = sorted(islice(_apart(terms), COUNT))
    marks = tuple(mark(first + number) for number in range(len(taken)))
    spans = [(term.begin, term.end) for term in taken]
    own = (match.span() for match in _RESERVED.finditer(text))  # which would stand for another term
    left_out = [(span, "") for span in own if all(span[1] <= begin or end <= span[0] for begin, end in spans)]
    without = replaced(text, [*zip(spans, marks, strict=True), *left_out])
    return Masked(without, tuple(term.target for term in taken), marks)


def replaced(text: str, spans: Iterable[tuple[tuple[int, int], str]]) -> str:
    """A text with something else in spans of it that do not overlap."""
    pieces, at = [], 0
    for (begin, end), other in sorted(spans):
        pieces += [text[at:begin], other]
        at = end
    return "".join([*pieces, text[at:]])


def without_marks(text: str) -> str:
    """A text without letters of private use, which say nothing to anybody else."""
    return _RESERVED.sub("", text)


def _apart(terms: Iterable[Term]) -> Iterator[Term]:
    """Each term that overlaps with none that came before it."""
    taken: list[Term] = []
    for term in terms:
        if all(term.end <= one.begin or one.end <= term.begin for one in taken):
            taken.append(term)
            yield term


def _is_code(text: str) -> bool:
    """Whether something with digits is more than a small number or an ordinal: 48213, K-95695, 2,000."""
    digits = sum(map(str.isdigit, text))
    return digits >= _LONG or (digits > 0 and any(map(str.isupper, text)))
