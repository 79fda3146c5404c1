"""Values of arguments: calendars by hand, and nothing where nothing is said."""

from datetime import datetime, timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from millis.applications.virtual_assistant import arguments
from millis.applications.virtual_assistant.arguments import value_of
from millis.errors import MillisError

NOW = datetime(2026, 11, 30, 17, 0, 42)  # a Monday


@pytest.mark.parametrize(("text", "value"), [
    ("on friday at 7 pm", "2026-12-04T19:00:00"), ("next monday", "2026-12-07T00:00:00"),
    ("tomorrow at eight", "2026-12-01T08:00:00"), ("on monday at ten", "2026-12-07T10:00:00"),
    ("at seven", "2026-12-01T07:00:00"), ("at 6:30", "2026-12-01T06:30:00"), ("at 7 pm", "2026-11-30T19:00:00"),
    ("At half past seven.", "2026-12-01T07:30:00"), ("quarter past nine", "2026-12-01T09:15:00"),
    ("at 12 am", "2026-12-01T00:00:00"), ("at 12 pm", "2026-12-01T12:00:00"), ("at noon", "2026-12-01T12:00:00"),
    ("in twenty minutes", "2026-11-30T17:20:00"), ("on december 24", "2026-12-24T00:00:00"),
    ("on march 3rd", "2027-03-03T00:00:00"), ("at 25:00", None), ("at 7:99", None), ("xyzzy", None),
])  # fmt: skip
def test_dates_are_the_next_ones(text, value):
    assert value_of(text, "date", NOW) == value


@pytest.mark.parametrize(("text", "value"), [
    ("ten minutes", 600), ("an hour", 3600), ("half an hour", 1800), ("an hour and a half", 5400),
    ("two and a half hours", 9000), ("one hour and ten minutes", 4200), ("90 seconds", 90), ("soon", None),
])  # fmt: skip
def test_durations_are_seconds(text, value):
    assert value_of(text, "duration", NOW) == value


@pytest.mark.parametrize(("text", "value"), [
    ("twenty five", 25), ("sixty five percent", 65), ("50%", 50), ("7", 7), ("-3", -3), ("many", None), ("1e9", None),
])  # fmt: skip
def test_numbers_are_read_in_words_and_digits(text, value):
    assert value_of(text, "number", NOW) == value


def test_text_is_what_was_said():
    assert value_of("Nina Simone", "text", NOW) == "Nina Simone"


@given(st.integers(0, 23), st.integers(0, 59))
def test_a_time_alone_is_within_a_day(hour, minute):
    then = datetime.fromisoformat(value_of(f"at {hour}:{minute:02}", "date", NOW))
    assert (then.hour, then.minute) == (hour, minute) and NOW - timedelta(minutes=1) < then <= NOW + timedelta(days=1)


@settings(max_examples=25)
@given(st.text(max_size=90), st.sampled_from(["date", "duration", "number"]))
def test_any_words_have_a_value_or_none(text, kind):
    found = value_of(text, kind, NOW)
    assert found is None or isinstance(found, str if kind == "date" else float)


def test_a_date_behind_all_calendars_is_none():
    assert value_of("at 5", "date", datetime(9999, 12, 31, 23)) is None


def test_long_words_are_not_parsed():
    assert value_of("one " * 50_000, "number", NOW) is None


def test_parsers_that_are_missing_are_named(monkeypatch):
    def none():
        raise ImportError("No module", name="dateparser")

    monkeypatch.setattr(arguments, "_parsers", none)
    with pytest.raises(MillisError, match=r"not installed \(dateparser\): pip install 'millis\[applications\]'"):
        arguments.check()
