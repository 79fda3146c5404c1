"""Which script letters are of, by their names in Unicode: what a translation was not made for is told by it."""

import unicodedata
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from functools import lru_cache

LEAST = 0.1  # share of a language's letters from which on a script is one of its own: Japanese has three
_JOINS = " -'.&"  # within a run of letters: New York, SIM-Karte


def scripts_of(texts: Iterable[str]) -> tuple[str, ...]:
    """The scripts that texts are written in, such as `LATIN` or `CJK`, the most frequent first.

    Args:
        texts: Of one language.
    """
    counts = Counter(script(letter) for text in texts for letter in text if letter.isalpha())
    return tuple(name for name, count in counts.most_common() if count >= LEAST * counts.total())


@lru_cache(maxsize=4096)
def script(letter: str) -> str:
    """The first word of a letter's name."""
    return unicodedata.name(letter, "UNKNOWN").split(" ")[0]


def share(text: str, scripts: Sequence[str]) -> float:
    """How many of the letters of `text`, which has some, are in `scripts`, 0..1."""
    ours = [script(letter) in scripts for letter in text if letter.isalpha()]
    return sum(ours) / len(ours)


def foreign(text: str, scripts: Sequence[str]) -> Iterator[tuple[int, int]]:
    """Where letters of other scripts stand, (begin, end) of each run; blanks and hyphens between them belong to it."""
    begin = end = -1
    for place, letter in enumerate(text):
        if letter.isalpha() and script(letter) not in scripts:
            if begin < 0:
                begin = place
            end = place + 1
        elif begin >= 0 and letter not in _JOINS:
            yield begin, end
            begin = -1
    if begin >= 0:
        yield begin, end
