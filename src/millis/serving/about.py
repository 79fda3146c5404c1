"""What is said of whatever answers requests: an artifact or an application of several."""

from typing import NamedTuple

WORD = "a "  # which most models have some answer to


class About(NamedTuple):
    """Said to those who choose what to ask.

    Args:
        name: For people.
        backend: Its runtime; of an application, its kind.
        answers: What it answers, in a few words.
        pairs: Whether a request may be two texts.
        keeps_state: Whether a request may bring a state, which comes back with the answer.
        longest: Tokens, or words, of the longest request that is read to its end.
        size_bytes: On disk.
        fingerprint: Of what it was made of.
        word: What requests are filled with before the first one comes, of a language that it answers.
    """

    name: str
    backend: str
    answers: str
    pairs: bool
    keeps_state: bool
    longest: int
    size_bytes: int
    fingerprint: str
    word: str = WORD
