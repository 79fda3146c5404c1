"""Sentences in several languages, where they stand, sections, and texts that never end."""

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from millis.applications.sentences import LONGEST, MOST, is_chinese, sentences


def texts(text, language="en"):
    return [one.text for one in sentences(text, language)]


def test_abbreviations_numbers_and_quotations_end_no_sentence():
    assert texts("Dr. Smith paid $3.50, e.g. at St. John's. He left.") == [
        "Dr. Smith paid $3.50, e.g. at St. John's.", "He left."
    ]  # fmt: skip
    assert texts("Am 3. Mai kam Dr. Müller z. B. nach Berlin. Er ging.", "de") == [
        "Am 3. Mai kam Dr. Müller z. B. nach Berlin.", "Er ging."
    ]  # fmt: skip


def test_chinese_is_told_by_its_characters():
    assert texts("你好。我叫小明！今天3.5度。") == ["你好。", "我叫小明！", "今天3.5度。"]
    assert is_chinese("你好 ok")
    assert not is_chinese("The word 你好 means hello")
    assert not is_chinese("  ")


def test_lines_end_sentences_and_empty_lines_end_sections():
    found = sentences("A heading\nOne. Two.\n \nThree.\r\n\r\nFour.")
    assert [(one.text, one.section) for one in found] == [
        ("A heading", 0), ("One.", 0), ("Two.", 0), ("Three.", 1), ("Four.", 2)
    ]  # fmt: skip


def test_a_section_without_end_is_divided():
    assert [one.section for one in sentences("Go. " * (MOST + 1))] == [0] * MOST + [1]


def test_what_never_ends_is_cut_at_a_blank():
    found = sentences("word " * LONGEST)
    assert max(len(one.text) for one in found) <= LONGEST
    assert " ".join(one.text for one in found) == ("word " * LONGEST).strip()
    assert [len(one.text) for one in sentences("x" * (2 * LONGEST + 5))] == [LONGEST, LONGEST, 5]


@given(st.text(st.characters(codec="utf-8"), max_size=200))
def test_sentences_stand_where_they_say_and_leave_out_nothing_but_blanks(text):
    found = sentences(text)
    assert all(text[one.begin : one.end] == one.text for one in found)
    assert all(one.end <= other.begin for one, other in itertools.pairwise(found))
    assert "".join("".join(one.text.split()) for one in found) == "".join(text.split())


@pytest.mark.parametrize("text", ["", " \n\t ", "\u2028"])
def test_nothing_has_no_sentences(text):
    assert sentences(text) == []
