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
    """The failures since the last trial that did not fail, as long as they have one cause.

    Attributes:
        numbers: Of their trials.
    """

    def __init__(self) -> None:
        self.numbers: list[int] = []
        self._cause, self._text, self._full, self._away = "", "", False, False

    def passed(self) -> None:
        """A trial did not fail."""
        self.numbers = []

    def failed(self, number: int, error: object, text: str) -> None:
        """Trial `number` failed with `text`.

        Args:
            error: The exception that its job ended by, where there was one.
        """
        cause = cause_of(error, text)
        self.numbers = [*self.numbers, number] if cause == self._cause else [number]
        self._cause, self._text = cause, text
        self._full = self._full or out_of_space(error, text)
        self._away = self._away or isinstance(error, Unavailable)

    def verdict(self) -> str | None:
        """Why the sweep should stop, if it should."""
        again = "run the same command again: these trials do not count"
        if self.numbers and self._away:
            return f"the sweep stops: {self._text}. When it is back, {again}"
        if self.numbers and self._full:
            return f"there is no space left, so the sweep stops: {self._text}. Make room and {again}"
        if len(self.numbers) >= MANY:
            return (
                f"the last {len(self.numbers)} trials failed alike, so the sweep stops: {self._text}. Mend the cause "
                f"and {again}"
            )
        return None


def cause_of(error: object, text: str) -> str:
    """What two failures have in common that differ in the files they name: the system's error, or else the text."""
    if out_of_space(error, text):
        return "no space"
    if isinstance(error, Unavailable):
        return "away"
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
