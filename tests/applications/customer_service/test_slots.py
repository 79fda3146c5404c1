"""Particulars by their form."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from millis.applications.customer_service.slots import KINDS, READ, particulars, rest


@pytest.mark.parametrize(("text", "found"), [
    ("where is order 48213?", {"order_number": "48213"}),
    ("LK 48213 and LK48214", {"order_number": "LK48214"}),  # the last one counts
    ("订单号48213，谢谢", {"order_number": "48213"}),
    ("你好，单号LK48213", {"order_number": "LK48213"}),
    ("i paid £18.50 for it", {"amount": "£18.50"}),
    ("退我25元", {"amount": "25元"}),
    ("it cost £1,250.00.", {"amount": "£1,250.00"}),
    ("€ 1.234,50 sind zu viel", {"amount": "€ 1.234,50"}),
    ("1,234,567 dollars", {"amount": "1,234,567 dollars"}),
    ("$2,000, please", {"amount": "$2,000"}),
    ("£1.234.5", {}), ("£18.5050", {}), ("1.2.3 euros", {}),  # no amount, nor the beginning of one
    ("30 euros were charged", {"amount": "30 euros"}),
    ("call me on 07700 900123", {"phone": "07700 900123"}),
    ("+44 (20) 7946-0958", {"phone": "+44 (20) 7946-0958"}),
    ("write to a.b+c@mail.example.org please", {"email": "a.b+c@mail.example.org"}),
    ("order 48213, call 07700900123", {"order_number": "48213", "phone": "07700900123"}),
    ("me12345@example.org", {"email": "me12345@example.org"}),  # and no order number in it
    ("1234", {}), ("a12345678901234567890", {}), ("version 3.14", {}), ("", {}), ("order ABCD12345", {}),
])  # fmt: skip
def test_particulars_are_found_by_their_form(text, found):
    assert particulars(text) == found


@given(st.text(alphabet="0123456789 +-()@.£€元aA\n", max_size=300))
def test_whatever_is_found_stands_in_the_text(text):
    found = particulars(text)
    assert set(found) <= set(KINDS) and all(value and value in text for value in found.values())
    assert len(rest(text, found)) <= len(text)


@pytest.mark.parametrize("text", ["a@" + "a." * 50_000, "0 " * 50_000, "1" * 100_000, "A" * 100_000, "£" * 100_000])
def test_long_texts_are_not_gone_over_again_and_again(text):
    assert isinstance(particulars(text), dict)
    assert particulars("x " * READ + "48213") == {}, "no more than the beginning is read"


def test_the_rest_is_what_stands_beside_them():
    assert rest("it is 48213", {"order_number": "48213"}) == "it is"
