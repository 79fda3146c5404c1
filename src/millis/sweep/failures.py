"""Failures in a row, and what they say of the trials to come: a fault that none escapes must not use a study up."""

import errno
import os
import re
from collections.abc import Iterator

from millis.errors import Unavailable

MANY = 4  # failures alike in a row are no coincidence
NO_SPACE = {errno.ENOSPC, errno.EDQUOT}
_PATHS = re.compile(r"(?:[\w.~+-]*/)+[\w.~+-]*")
_NUMBERED = re.compile(r"\b(?:0x)?[0-9a-f]{6,}\b")  # fingerprints and addresses


class Failures:
    """The failures since the last trial that did not fail: those for which something is away or full, and the others
    as long as they have one cause."""

    def __init__(self) -> None:
        self._away: list[tuple[int, str]] = []  # trial and text, as in the others
        self._full: list[tuple[int, str]] = []
        self._alike: list[tuple[int, str]] = []
        self._cause = ""  # of `_alike`

    @property
    def numbers(self) -> list[int]:
        """Of the trials whose failures are the verdict's reason: the fault was not theirs."""
        alike = self._alike if len(self._alike) >= MANY else []
        return sorted(number for number, _ in (*self._away, *self._full, *alike))

    def passed(self) -> None:
        """A trial did not fail."""
        self._away, self._full, self._alike = [], [], []

    def failed(self, number: int, error: object, text: str) -> None:
        """Trial `number` failed with `text`.

        Args:
            error: The exception that its job ended by, where there was one.
        """
        if isinstance(error, Unavailable):
            self._away.append((number, text))
        elif out_of_space(error, text):
            self._full.append((number, text))
        else:
            cause = cause_of(error, text)
            self._alike = [*(self._alike if cause == self._cause else []), (number, text)]
            self._cause = cause

    def verdict(self) -> str | None:
        """Why the sweep should stop, if it should."""
        again = "run the same command again: these trials do not count"
        if self._away:
            return f"the sweep stops: {self._away[-1][1]}. When it is back, {again}"
        if self._full:
            return f"there is no space left, so the sweep stops: {self._full[-1][1]}. Make room and {again}"
        if len(self._alike) >= MANY:
            return (
                f"the last {len(self._alike)} trials failed alike, so the sweep stops: {self._alike[-1][1]}. Mend the "
                f"cause and {again}"
            )
        return None


def cause_of(error: object, text: str) -> str:
    """What two failures have in common that differ in the files they name: the system's error, or else the text."""
    for one in _chain(error):
        if isinstance(one, OSError) and one.errno is not None:
            return f"{type(one).__name__} {one.errno}"
    return _NUMBERED.sub("#", _PATHS.sub("/", text))


def out_of_space(error: object, text: str) -> bool:
    """Whether a full disk or a quota is behind a failure; libraries hand on the system's words where not its number."""
    numbers = {one.errno for one in _chain(error) if isinstance(one, OSError)}
    return bool(numbers & NO_SPACE) or any(os.strerror(number) in text for number in NO_SPACE)


def _chain(error: object) -> Iterator[BaseException]:
    while isinstance(error, BaseException):
        yield error
        error = error.__cause__ or error.__context__
