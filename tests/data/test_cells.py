"""Values of every format as texts and labels."""

from datetime import date
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from millis.data.cells import CellError, label_of, text_of, tidy


@pytest.mark.parametrize(
    ("cell", "text"),
    [("a b", "a b"), ("", ""), (b"caf\xc3\xa9", "café"), (7, "7"), (1.5, "1.5"), (Decimal("2.50"), "2.50")],
)
def test_texts_and_numbers_are_texts(cell, text):
    assert text_of(cell, "text") == text


@pytest.mark.parametrize(
    ("cell", "fault"),
    [
        (["they", "sold"], r"column 'text' holds a list (['they', 'sold']); expected text. Write a text there"),
        ({"en": "sold"}, "column 'text' holds an object ({'en': 'sold'}); expected text"),
        (True, "column 'text' holds a truth value (True); expected text"),
        (date(2024, 1, 31), "column 'text' holds a date (datetime.date(2024, 1, 31)); expected text"),
        (b"caf\xe9", r"column 'text' holds bytes that are no UTF-8 text (b'caf\xe9')"),
        (None, "column 'text' is missing or null; expected a value"),
        (float("nan"), "column 'text' is missing or null; expected a value"),
    ],
)
def test_what_is_no_text_is_refused(cell, fault):
    with pytest.raises(CellError) as caught:
        text_of(cell, "text")
    assert str(caught.value).startswith(fault)


def test_a_long_cell_is_shown_by_its_beginning():
    with pytest.raises(CellError, match=r"\(\['word', 'word', .*\.\.\.\)") as caught:
        text_of(["word"] * 1000, "text")
    assert len(str(caught.value)) < 200


@pytest.mark.parametrize(
    ("cell", "label"),
    [
        (" refund ", "refund"),
        (b"refund", "refund"),
        (3, "3"),
        (3.0, "3.0"),
        (True, "True"),
        ("[spam]", "[spam]"),
        ("\u2764\ufe0f", "\u2764\ufe0f"),
        ("-", "-"),
        ("\ue000", "\ue000"),  # of private use: an icon
        ("{[1]: 2}", "{[1]: 2}"),
    ],
)
def test_a_label_is_a_name(cell, label):
    assert label_of(cell, "label") == label


@pytest.mark.parametrize(
    "cell", [None, "", "  ", "\u00a0", float("nan"), float("inf"), Decimal("nan"), "NaN", "<NA>", "#N/A"]
)
def test_a_missing_label_is_none(cell):
    assert label_of(cell, "label") is None


@pytest.mark.parametrize("cell", ["\u200b", "\ufeff", " \u200b\u2060 ", "\u00ad", "\u3164", "\x00", b"\xef\xbb\xbf"])
def test_a_label_that_cannot_be_seen_is_none(cell):
    assert label_of(cell, "label") is None


@pytest.mark.parametrize("cell", [["a", "b"], [], {"name": "a"}, [0, 1], date(2024, 1, 31)])
def test_one_label_is_expected(cell):
    with pytest.raises(
        CellError, match=r"column 'label' holds a.*expected one label, a name or a whole number\. For several"
    ):
        label_of(cell, "label")


@pytest.mark.parametrize("text", ["['a', 'b']", '["a", "b"]', "[0, 1]", "[]", '{"a": true}', "{'a'}", "[0. 1. 0.]"])
def test_a_list_written_as_text_is_several_labels_too(text):
    with pytest.raises(CellError, match="holds a list or an object as text"):
        label_of(text, "label")


def test_an_index_has_the_name_of_its_class():
    assert [label_of(index, "label", [" a", "1"]) for index in (0, 1, -1)] == ["a", "1", None]
    with pytest.raises(CellError, match="column 'label' holds 2, which is out of range; expected 0 to 1"):
        label_of(2, "label", ["a", "b"])


@given(st.text())
def test_a_tidy_name_stays_as_it_is(name):
    assert tidy(tidy(name)) == tidy(name)
