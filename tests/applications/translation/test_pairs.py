"""Pairs as they lie in a folder, and what parts read of them."""

import json

import pytest

from millis.applications.translation.lexicon import Lexicon, Link
from millis.applications.translation.pairs import Pair, _again, one_by_one, pairs, write_rows
from millis.applications.translation.placeholders import MARKS, small_numbers
from millis.errors import MillisError

LEXICON = Lexicon({"lamp": "lampe"})


def written(tmp_path, found, lexicon=None):
    write_rows([Pair(*one) for one in found], ("en", "de"), ("LATIN",), lexicon, tmp_path / "rows.jsonl")
    rows = [json.loads(line) for line in (tmp_path / "rows.jsonl").read_text(encoding="utf-8").splitlines()]
    return [(row["source"], row["target"]) for row in rows]


def marks(text):
    return [letter for letter in text if letter in MARKS]


def test_codes_are_the_same_placeholder_on_both_sides(tmp_path):
    ((source, target),) = written(tmp_path, [("LK-12 is 500 \ue003 and 18.", "18 sind 500, LK-12.")])
    assert len(marks(source)) == 2 and sorted(marks(target)) == sorted(marks(source))
    one, two = marks(source)
    assert (source, target) == (f"{one} is {two}  and 18.", f"18 sind {two}, {one}.")


def test_a_number_within_another_is_not_taken_out(tmp_path):
    both = Pair("close 1 at 2.5 of 7", "um 13 Uhr 2.5 um 7")
    assert _again(both, small_numbers(both.source)) == [Link((11, 14), (10, 13)), Link((18, 19), (17, 18))]


def test_what_the_other_side_lacks_stays(tmp_path):
    same = [("LK-12 is 500.", "LK-13 sind 5, 500, 500"), ("x", "y")]
    assert written(tmp_path, same) == same


def test_pairs_of_several_sentences_are_read_one_by_one():
    two = Pair("The lamp. It is old.", "Die Lampe. Sie ist alt.")
    assert one_by_one(two, ("en", "de")) == [Pair("The lamp.", "Die Lampe."), Pair("It is old.", "Sie ist alt.")]
    assert one_by_one(two[::-1], ("de", "en")) == [("Die Lampe.", "The lamp."), ("Sie ist alt.", "It is old.")]
    uneven = Pair("The lamp. It is old.", "Die Lampe ist alt.")
    assert one_by_one(uneven, ("en", "de")) == [uneven]
    assert one_by_one(Pair("您好。灯坏了。", "Hello. The lamp is broken."), ("zh", "en"))[0] == ("您好。", "Hello.")


def test_second_rows_have_words_taken_out(tmp_path):
    rows = written(tmp_path, [(f"the lamp is old{'!' * n}", f"die Lampe ist alt{'!' * n}") for n in range(40)], LEXICON)
    second = [row for row in rows if marks(row[0])]
    assert 8 < len(second) < 32 and len(rows) == 40 + len(second)
    for source, target in second:
        (one,) = marks(source)
        assert source.startswith(f"the {one} is old") and target.startswith(f"die {one} ist alt")
    assert len({marks(source)[0] for source, _ in second}) > 3
    assert rows == written(tmp_path, [(f"the lamp is old{'!' * n}", f"die Lampe ist alt{'!' * n}") for n in range(40)],
                           LEXICON)  # fmt: skip


@pytest.mark.parametrize(("rows", "message"), [
    (None, "has no file train with one of .jsonl"),
    ([{"en": "a", "fr": "b"}], r"has no column 'de' \(app.source, app.target\): found en, fr"),
    ([{"en": "a", "de": "b"}, {"en": None, "de": "b"}], "train.jsonl, row 2: column 'en' is missing or null"),
    ([{"en": "a", "de": " \u200b"}], "train.jsonl, row 1: column 'de' has nothing but blanks; expected a sentence"),
    ([{"en": "a", "de": ["b"]}], "row 1: column 'de' holds a list"),
])  # fmt: skip
def test_what_are_no_pairs_is_refused(tmp_path, rows, message):
    if rows is not None:
        (tmp_path / "train.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    with pytest.raises(MillisError, match=message):
        pairs(tmp_path, "train", ("en", "de"))


def test_no_more_are_read_than_are_asked_for(tmp_path):
    (tmp_path / "test.csv").write_text("en,de\na,b\nc,d\ne,\n")
    assert pairs(tmp_path, "test", ("de", "en"), 2) == [Pair("b", "a"), Pair("d", "c")]
