"""How people type: sentence case or none, missing apostrophes and stops, slipped keys.

None of it changes what is asked; it keeps a classifier from leaning on exact spelling.
"""

import re
from random import Random

from millis.data.corpus.grammar import pick

_ROWS = ("qwertyuiop", "asdfghjkl", "zxcvbnm")
NEIGHBOURS = {key: row[max(0, at - 1) : at] + row[at + 1 : at + 2] for row in _ROWS for at, key in enumerate(row)}
"""Keys to the left and right on a QWERTY keyboard."""

_FIRST_PERSON = re.compile(r"\bi\b(?!-)")
_SENTENCE_START = re.compile(r"(^|[.?!] )([a-z])")


def slip(word: str, rng: Random) -> str:
    """`word` with one slipped key after its first letter: neighbour, dropped, doubled or swapped letter."""
    at = 1 + int(rng.random() * (len(word) - 2))
    kind = pick(rng, ("neighbour", "drop", "double", "swap"))
    letter = word[at]
    replacement = {
        "neighbour": pick(rng, NEIGHBOURS.get(letter, letter)) + word[at + 1],
        "drop": word[at + 1],
        "double": letter + letter + word[at + 1],
        "swap": word[at + 1] + letter,
    }[kind]
    return word[:at] + replacement + word[at + 2 :]


def add_slips(text: str, count: int, rng: Random) -> str:
    """Slip a key in up to `count` of the words that have four or more letters and nothing but letters."""
    words = text.split(" ")
    long_words = [at for at, word in enumerate(words) if len(word) >= 4 and word.isalpha()]
    for _ in range(min(count, len(long_words))):
        at = long_words.pop(int(rng.random() * len(long_words)))
        words[at] = slip(words[at], rng)
    return " ".join(words)


def tidy(text: str) -> str:
    """Capital letters where a careful writer puts them, and a full stop where nothing ends the text."""
    text = _FIRST_PERSON.sub("I", text)
    text = _SENTENCE_START.sub(lambda found: found[1] + found[2].upper(), text)
    return text if text[-1] in ".?!" else text + "."


def type_out(text: str, rng: Random) -> str:
    """The text as one person would type it: 62 % carefully, 30 % all lower case, 8 % without punctuation at all.

    One text in five has a slipped key or two.
    """
    draw = rng.random()
    if draw < 0.62:
        text = tidy(text)
    elif draw < 0.92:
        text = text.lower()
    else:
        text = re.sub(r"[,?!:']|\.(?!\d)", "", text.lower())
    if rng.random() < 0.20:
        text = add_slips(text, 1 if rng.random() < 0.7 else 2, rng)
    return text
