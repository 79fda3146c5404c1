"""What stays as it is said, and placeholders for it."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from millis.applications.translation.glossary import Glossary, Term
from millis.applications.translation.placeholders import (
    COUNT,
    FIRST,
    fixed,
    mark,
    masked,
    replaced,
    small_numbers,
    without_marks,
)

ONE, TWO, LAST = mark(0), mark(1), mark(COUNT - 1)


def kept(text, scripts=("LATIN",)):
    return [text[one.begin : one.end] for one in fixed(text, scripts)]


@pytest.mark.parametrize(("text", "expected"), [
    ("order LK-552001, number K-9 for 2,000.50 euros", ["LK-552001", "K-9", "2,000.50"]),
    ("the 2nd of 18 lamps at 7pm costs 45.", []),
    ("see https://a.org/b?c=1, or mail a.b+c@d-e.org.", ["https://a.org/b?c=1", "a.b+c@d-e.org"]),
    ("tell 张伟 and Анна Каренина.", ["张伟", "Анна Каренина"]),
    ("private \ue123\ue124 use", ["\ue123\ue124"]),
])  # fmt: skip
def test_codes_addresses_and_other_scripts_stay(text, expected):
    assert kept(text) == expected


def test_in_chinese_latin_words_stay_and_months_are_no_numbers():
    text = "我的SIM卡7月18日坏了，Dunlin-12也坏了。"
    assert kept(text, ("CJK",)) == ["Dunlin-12", "SIM"]
    assert [one.target for one in small_numbers(text, fixed(text, ("CJK",)))] == ["18"]


def test_small_numbers_are_those_outside_of_what_is_taken():
    text = "3 of 48213 at b=4 and 2nd"
    assert [one.target for one in small_numbers(text, [Term(14, 17, "b=4")])] == ["3"]


def test_terms_become_placeholders_in_their_order_and_come_back():
    text = "the old lamp is old"
    found = masked(text, [*Glossary({"lamp": "Leuchte"}).found(text), Term(4, 7, "alt"), Term(6, 9, "no")])
    assert found.text == f"the {ONE} {TWO} is old" and found.kept == ("alt", "Leuchte")
    assert found.restored(f"{TWO} ist {ONE}{LAST}, {ONE}") == "Leuchte ist alt, alt"


def test_no_more_placeholders_than_there_are():
    terms = [Term(place, place + 1, str(place)) for place in range(COUNT + 2)]
    assert masked("x" * 12, terms, first=5).text == "".join(mark(5 + place) for place in range(COUNT)) + "x" * 4
    assert mark(COUNT) == ONE == chr(FIRST)


@given(st.text("ab1 -3Ж", max_size=30))
def test_what_is_given_back_as_it_came_is_the_text(text):
    found = masked(text, [*fixed(text, ("LATIN",)), *small_numbers(text)])
    assert len(found.kept) == len(found.marks) <= COUNT
    assert found.restored(found.text) == text


def test_a_letter_of_private_use_stands_for_no_term():
    terms = [Term(begin, begin + 1, f"T{begin}") for begin in range(COUNT)]
    made = masked("abcdefgh " + mark(1), terms)
    assert made.text == "".join(map(mark, range(COUNT))) + " "
    assert made.restored(made.text) == "T0T1T2T3T4T5T6T7 "


def test_spans_are_replaced_whatever_their_order():
    assert replaced("abcdef", [((4, 5), "E"), ((0, 2), "")]) == "cdEf"
    assert without_marks(f"a{ONE}b\uf8ff") == "ab"
