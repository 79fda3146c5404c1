"""What of a text is translated, and what stays."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from millis.applications.translation.layout import Piece, between, halves, joined, pieces

LETTERS = "ab .!\n\t\r-1*你。\u2028A"


@given(st.text(LETTERS, max_size=60))
@settings(max_examples=80, deadline=None)
def test_sentences_and_what_stands_between_are_the_text(text):
    found, behind = pieces(text, "en")
    assert "".join(one.before + one.text for one in found) + behind == text
    assert all(any(map(str.isalpha, one.text)) for one in found)
    assert not any(map(str.isalpha, behind))


def test_marks_of_lists_and_numbers_without_words_stand_between():
    found, behind = pieces("a) Old.\n  - New! 2024. Lost.\n3) (4)", "en")
    assert found == [Piece("a) ", "Old."), Piece("\n  - ", "New!"), Piece(" 2024. ", "Lost.")]
    assert behind == "\n3) (4)"


@pytest.mark.parametrize(("before", "first", "blanks", "expected"), [
    (" ", False, True, " "), ("", False, True, " "), ("", True, True, ""), ("  ", True, False, "  "),
    (" ", False, False, ""), ("\n\n  ", False, False, "\n\n  "), (" 3. ", False, False, " 3. "),
])  # fmt: skip
def test_between_sentences_stands_what_the_language_has(before, first, blanks, expected):
    assert between(before, first, blanks) == expected


@pytest.mark.parametrize(("text", "expected"), [
    ("it is an old lamp, but it is not mine", ("it is an old lamp,", "but it is not mine")),
    ("it is one two three four five, it", ("it is one two", "three four five, it")),  # the clause ends too late
    ("这盏灯是旧的灯灯灯灯灯灯，但是它不是我的灯灯灯灯灯", ("这盏灯是旧的灯灯灯灯灯灯，", "但是它不是我的灯灯灯灯灯")),
    ("灯" * 25, ("灯" * 12, "灯" * 13)),
    ("abcdefghijklmnopqrstuvwxyz", None),
    ("too short, this", None),
])  # fmt: skip
def test_a_sentence_is_divided_at_a_clause_near_its_middle(text, expected):
    assert halves(text) == expected


def test_parts_are_joined_as_the_language_has_it():
    assert joined([" one", "", "two "], True) == "one two"
    assert joined(["一", "二"], False) == "一二"
