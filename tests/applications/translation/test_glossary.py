"""Terms, where they stand, and glossaries that cannot be."""

import json

import pytest

from millis.applications.translation.glossary import Glossary, read_glossary
from millis.errors import MillisError


def told(glossary, text):
    return [(text[one.begin : one.end], one.target) for one in Glossary(glossary).found(text)]


def test_terms_are_words_of_their_own_in_capitals_or_not():
    assert told({"lamp": "Leuchte"}, "Lamp, lamps, LAMP! headlamp lamp") == [
        ("Lamp", "Leuchte"), ("LAMP", "Leuchte"), ("lamp", "Leuchte"),
    ]  # fmt: skip


def test_of_terms_that_overlap_the_longest_is_taken():
    terms = {"power": "Strom", "power bank": "Akku", "bank": "Bank"}
    assert told(terms, "a power  bank, a bank") == [("power  bank", "Akku"), ("bank", "Bank")]


def test_terms_of_writing_without_blanks_stand_anywhere():
    assert told({"洗碗机": "dishwasher", "C++": "C++"}, "我的洗碗机和C++坏了") == [
        ("洗碗机", "dishwasher"),
        ("C++", "C++"),
    ]


def test_letters_that_only_an_expression_finds_alike_are_no_term():
    assert told({"Straße": "street"}, "straße STRASSE") == [("straße", "street")]
    assert told({"i": "I"}, "\u0130 i") == [("i", "I")]


def test_further_terms_go_first_and_nothing_is_found_without_any():
    both = Glossary({"lamp": "Lampe", "old": "alt"}).with_terms({"LAMP": "Leuchte"})
    assert both.terms == {"old": "alt", "LAMP": "Leuchte"} and len(both) == 2
    assert told({}, "lamp") == []


@pytest.mark.parametrize("name", ["terms.csv", "terms.jsonl", "terms.tsv"])
def test_a_file_is_a_mapping(tmp_path, name):
    rows = [("lamp", "Leuchte"), ("Lamp ", "Leuchte"), ("power bank", "Akku")]
    blank = "\t" if name.endswith("tsv") else ","
    text = "".join(blank.join(row) + "\n" for row in [("source", "target"), *rows])
    if name.endswith("jsonl"):
        text = "".join(json.dumps({"source": one, "target": other}) + "\n" for one, other in rows)
    (tmp_path / name).write_text(text)
    assert len(read_glossary(str(tmp_path / name))) == len(read_glossary({"lamp": "Leuchte", "power bank": "Akku"}))


@pytest.mark.parametrize(("given", "message"), [
    ({"lamp": "a", "Lamp": "b"}, r"the glossary: the term 'Lamp' is to be both 'a' and 'b'; expected one. Leave one"),
    ({"lamp": " "}, "the term 'lamp' with the target ' ' has a blank side; expected words"),
    ({"\u200b": "a"}, "has a blank side"),
    ("nowhere.csv", "glossary nowhere.csv is not there, or is no table: expected a file with one of .jsonl"),
])  # fmt: skip
def test_what_is_no_glossary_is_refused(given, message):
    with pytest.raises(MillisError, match=message):
        read_glossary(given)


@pytest.mark.parametrize(("text", "message"), [
    ("source,target\nlamp,a\nold,b\nLAMP,c\n", "terms.csv, row 3: the term 'LAMP' is to be both 'a' and 'c'"),
    ("source,target\nlamp,\n", "terms.csv, row 1: the term 'lamp' with the target '' has a blank side"),
    ("term,target\nlamp,a\n", "terms.csv has no column 'source': found term, target"),
])  # fmt: skip
def test_a_file_that_is_none_is_refused_by_its_row(tmp_path, text, message):
    (tmp_path / "terms.csv").write_text(text)
    with pytest.raises(MillisError, match=message):
        read_glossary(tmp_path / "terms.csv")
