"""English: articles, plurals and forms of verbs, by words that can be looked up."""

import re

import pytest

from millis.data.parallel.english import gerund, noun_phrase, of_several, participle, plural, question
from millis.data.parallel.generate import corpus


@pytest.mark.parametrize(("arguments", "expected"), [
    (("oven", "a", "", ""), "an oven"), (("oven", "a", "new", ""), "a new oven"),
    (("phone", "a", "old", ""), "an old phone"),
    (("user manual", "a", "", ""), "a user manual"), (("mouse", "my", "", "two"), "my two mice"),
    (("switch", "this", "", "+"), "these switches"), (("phone", "this", "", "", "Kestrel-5"), "this Kestrel-5 phone"),
    (("battery", "", "small", "ten"), "ten small batteries"), (("lens", "the", "", ""), "the lens"),
])  # fmt: skip
def test_phrases(arguments, expected):
    assert noun_phrase(*arguments) == expected


@pytest.mark.parametrize(
    ("one", "many"), [("box", "boxes"), ("watch", "watches"), ("radio", "radios"), ("mouse", "mice")]
)
def test_plurals(one, many):
    assert plural(one) == many


@pytest.mark.parametrize(("said", "done", "doing"), [
    ("send me it", "sent me it", "sending me it"), ("give it", "given it", "giving it"),
    ("cancel it", "cancelled it", "cancelling it"), ("unsubscribe", "unsubscribed", "unsubscribing"),
    ("notify me", "notified me", "notifying me"), ("set it up", "set it up", "setting it up"),
    ("delay it", "delayed it", "delaying it"), ("gift-wrap it", "gift-wrapped it", "gift-wrapping it"),
])  # fmt: skip
def test_verbs(said, done, doing):
    assert (participle(said), gerund(said)) == (done, doing)


@pytest.mark.parametrize(("one", "many", "asked"), [
    ("is broken", "are broken", "is it broken"), ("gets very hot", "get very hot", "does it get very hot"),
    ("does not work", "do not work", "does it not work"), ("has a crack", "have a crack", "does it have a crack"),
    ("switches itself off", "switch themselves off", "does it switch itself off"),
    ("cannot be charged", "cannot be charged", "can it not be charged"),
    ("no longer works", "no longer work", None), ("arrived damaged", "arrived damaged", None),
])  # fmt: skip
def test_what_is_said_of_one_of_several_and_asked(one, many, asked):
    assert of_several(one) == many
    if asked is not None:
        assert question(one, many, "it", False) == asked
    assert question("is broken", "are broken", "they", True) == "are they broken"
    assert question("gets hot", "get hot", "they", True) == "do they get hot"


def test_articles_in_the_corpus_fit_the_next_sound():
    found = [
        pair for rows in corpus().values() for row in rows for pair in re.findall(r"\b([Aa]n?) (\w)", row.text.english)
    ]
    assert len(found) > 1000
    for article, letter in found:
        assert (article.lower() == "an") == (letter.lower() in "aeio"), (article, letter)


def test_sentences_in_the_corpus_are_written_as_english_is():
    for row in (row for rows in corpus().values() for row in rows):
        text = row.text.english
        assert re.fullmatch(r"[A-Z€][A-Za-z0-9€ .,?'-]*[.?]", text), text
        assert not re.search(r"  | [.,?]|\b(\w+) \1\b|\bi\b|[.?] [a-z]", re.sub(r" [ap]\.m\.", "", text)), text
