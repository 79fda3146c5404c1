"""Words of two languages that mean the same, by how often they stand in a pair together.

    Dice(s, t) = 2 n(s, t) / (n(s) + n(t))                              (Smadja et al. 1996, "Translating collocations")

n counts the pairs that a word stands in. A word and its best partner are kept where each is the other's best. Chinese
has no blanks: there each run of two to four characters counts as a word, and of equally good ones the longest is taken.
They need not be many or all right: rows in which they are placeholders teach a model to carry one over.
"""

import re
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from typing import NamedTuple, TypeAlias

Span: TypeAlias = tuple[int, int]
"""(begin, end) in a text."""

LEAST_DICE = 0.6
FEWEST = 4  # pairs that a word stands in
MOST_SHARE = 0.05  # of the pairs: words of grammar stand in more
PAIRS = 10_000  # that are counted: 10 s and 1 GB with one side in Chinese
LETTERS = 3  # of a word; shorter ones are seldom names of things
RUNS = range(2, 5)  # Chinese characters of a word
_HAN = re.compile(r"[\u3400-\u9fff]+")
_WORD = re.compile(r"[^\W\d_\u3400-\u9fff]+(?:-[^\W\d_\u3400-\u9fff]+)*")


class Link(NamedTuple):
    """What means the same: where it stands in the source, and in the target."""

    source: Span
    target: Span


class Lexicon:
    """Finds words of a pair that mean the same.

    Args:
        partners: Word of the source → word of the target, both in small letters.
    """

    def __init__(self, partners: dict[str, str]) -> None:
        self.partners = partners

    @classmethod
    def of(cls, pairs: Sequence[tuple[str, str]]) -> "Lexicon":
        """Learned from pairs of sentences, at most the first `PAIRS`."""
        sides = [tuple({word for word, _ in _words(text)} for text in pair) for pair in pairs[:PAIRS]]
        ours, theirs = (Counter(word for pair in sides for word in pair[side]) for side in (0, 1))
        ours, theirs = (_fit(counts, len(sides)) for counts in (ours, theirs))
        both = Counter(
            (word, other)
            for source, target in sides
            for word in source & ours.keys()
            for other in target & theirs.keys()
        )
        return cls(_mutual(both, ours, theirs))

    def links(self, source: str, target: str) -> list[Link]:
        """Of the words that stand once on either side, those that are partners."""
        ours, theirs = _once(source), _once(target)
        found = ((span, theirs.get(self.partners.get(word, ""))) for word, span in ours.items())
        return [Link(span, other) for span, other in found if other is not None]


def _mutual(both: Counter[tuple[str, str]], ours: Counter[str], theirs: Counter[str]) -> dict[str, str]:
    """Words and their partners that are each other's best."""
    best: tuple[dict[str, tuple[float, int, str]], ...] = ({}, {})
    for (word, other), count in both.items():
        dice = 2 * count / (ours[word] + theirs[other])
        if count >= FEWEST and dice >= LEAST_DICE:
            for side, (one, partner) in enumerate(((word, other), (other, word))):
                scored = (dice, len(partner), partner)
                best[side][one] = max(best[side].get(one, scored), scored)
    forward, backward = ({word: scored[2] for word, scored in side.items()} for side in best)
    return {word: other for word, other in forward.items() if backward[other] == word}


def _fit(counts: Counter[str], pairs: int) -> Counter[str]:
    return Counter(
        {word: count for word, count in counts.items() if FEWEST <= count <= max(FEWEST, MOST_SHARE * pairs)}
    )


def _words(text: str) -> Iterator[tuple[str, Span]]:
    """Words in small letters, and where they stand; of Chinese every run of characters."""
    for match in _WORD.finditer(text):
        if match.end() - match.start() >= LETTERS:
            yield match.group().casefold(), match.span()
    for match in _HAN.finditer(text):
        for length in RUNS:
            for begin in range(match.start(), match.end() - length + 1):
                yield text[begin : begin + length], (begin, begin + length)


def _once(text: str) -> dict[str, Span]:
    """Words that stand once in a text."""
    found = [*_words(text)]
    counts = Counter(word for word, _ in found)
    return {word: span for word, span in found if counts[word] == 1}


def apart(links: Iterable[Link]) -> Iterator[Link]:
    """Each link that overlaps on neither side with one that came before it."""
    taken: list[Link] = []
    for link in links:
        if all(_beside(link.source, one.source) and _beside(link.target, one.target) for one in taken):
            taken.append(link)
            yield link


def _beside(one: Span, other: Span) -> bool:
    return one[1] <= other[0] or other[1] <= one[0]
