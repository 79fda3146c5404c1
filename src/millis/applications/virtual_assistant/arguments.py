"""Arguments as values: dates by dateparser, numbers in words by text2num, durations by pytimeparse.

    date        `friday at 7 pm` → "2026-12-04T19:00:00", the next one after now; of a time alone (`at half past 7`),
                which dateparser misreads, the next time that clocks show it
    duration    `an hour and a half` → 5400.0, seconds
    number      `twenty five` → 25.0
    text        as it was said

What a parser cannot read keeps its text and has no value: nothing is guessed. Parsers are asked about the words of a
slot alone, and their answers are kept while they cannot change, so the next keystroke of the same words is free.
English is read.
"""

import re
from collections.abc import Callable
from datetime import datetime, timedelta
from functools import lru_cache
from typing import Any, Literal, TypeAlias, cast

from millis.errors import MillisError

Type: TypeAlias = Literal["date", "duration", "number", "text"]
LONGEST = 80  # characters of an argument that are parsed
KEPT = 4096  # answers
_NUMBER = re.compile(r"[+-]?[0-9]{1,12}(?:\.[0-9]{1,6})?")
_CLOCKS = (
    (re.compile(r"\bhalf past ([0-9]{1,2})\b"), r"\1:30"),
    (re.compile(r"\bquarter past ([0-9]{1,2})\b"), r"\1:15"),
    (re.compile(r"\bnoon\b"), "12:00"),
    (re.compile(r"\bmidnight\b"), "0:00"),
)
_CLOCK = re.compile(r"(?:at )?([0-9]{1,2})(?::([0-9]{2}))? ?(am|pm)?")
_AT = re.compile(r"\b(at [0-9]{1,2})(?![0-9:]| ?[ap]m)")  # dateparser takes the hour of `at 7` for a month
_HALVES = (
    (re.compile(r"\bhalf an?\b"), "0.5"),
    (re.compile(r"\ban?\b"), "1"),
    (re.compile(r"\b([0-9]{1,9}) (hours?|minutes?|days?|weeks?) and 1 half\b"), r"\1.5 \2"),
    (re.compile(r"\b([0-9]{1,9}) and 1 half\b"), r"\1.5"),
    (re.compile(r"\band\b"), " "),
)


def value_of(text: str, kind: Type, now: datetime) -> str | float | None:
    """The value of an argument; None where its text says none.

    Args:
        text: The words of a slot.
        kind: Its type.
        now: What dates are after, to the minute.
    """
    if kind == "text" or len(text) > LONGEST:
        return text if kind == "text" else None
    said = text.lower().strip(" .,!?")
    if kind == "date":
        try:
            return _date(said, now.replace(second=0, microsecond=0))
        except OverflowError:  # it is behind the last year of calendars
            return None
    return _number(said) if kind == "number" else _duration(said)


def check() -> None:
    """Refuse to go on without the parsers.

    Raises:
        MillisError: what to install.
    """
    try:
        _parsers()
    except ImportError as error:
        raise MillisError(
            f"a virtual assistant reads dates and numbers with packages that are not installed ({error.name}): pip "
            "install 'millis[applications]'"
        ) from error


@lru_cache(maxsize=1)
def _parsers() -> tuple[Callable[..., Any], ...]:
    """Of dates, numbers in words (one, and those of a text) and durations; each takes part of a second to import."""
    from dateparser.date import DateDataParser
    from pytimeparse.timeparse import timeparse
    from text_to_num import alpha2digit, text2num

    return DateDataParser, text2num, alpha2digit, timeparse


@lru_cache(maxsize=KEPT)
def _date(said: str, now: datetime) -> str | None:
    text = _digits(said)
    for expression, written in _CLOCKS:
        text = expression.sub(written, text)
    if (clock := _CLOCK.fullmatch(text)) is not None:
        return _next(now, int(clock[1]), int(clock[2] or 0), clock[3])
    text = _AT.sub(r"\1:00", text)
    made = _reader(now).get_date_data(text)
    return None if made is None or made.date_obj is None else made.date_obj.isoformat()


def _next(now: datetime, hour: int, minute: int, half_day: str | None) -> str | None:
    """The next time that clocks show that; `half_day` is `am` or `pm`."""
    if half_day is not None:
        hour = hour % 12 + (12 if half_day == "pm" else 0)
    if hour > 23 or minute > 59:
        return None
    then = now.replace(hour=hour, minute=minute)
    return (then if then > now else then + timedelta(days=1)).isoformat()


@lru_cache(maxsize=8)
def _reader(now: datetime) -> Any:
    settings = {"RELATIVE_BASE": now, "PREFER_DATES_FROM": "future", "RETURN_AS_TIMEZONE_AWARE": False}
    return _parsers()[0](languages=["en"], settings=settings)


@lru_cache(maxsize=KEPT)
def _number(said: str) -> float | None:
    digits = _digits(said.removesuffix("percent").removesuffix("%").strip())
    return float(digits) if _NUMBER.fullmatch(digits) else None


@lru_cache(maxsize=KEPT)
def _duration(said: str) -> float | None:
    text = _digits(said)
    for expression, written in _HALVES:
        text = expression.sub(written, text)
    seconds = _parsers()[3](" ".join(text.split()))
    return None if seconds is None else float(cast(float, seconds))


def _digits(said: str) -> str:
    """Numbers in words as digits."""
    _, one, of_text, _ = _parsers()
    words = str(of_text(said, "en")).split()
    return " ".join(_digit(word, one) for word in words)


def _digit(word: str, read: Callable[..., Any]) -> str:
    """Numbers below ten, which are left as words where they stand alone."""
    try:
        return str(read(word, "en"))
    except ValueError:
        return word
